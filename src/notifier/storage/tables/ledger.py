"""The ledger: deliveries and their attempts; and who is alive.

No index names what a claim changes (`status`, the lease): so the new row stays in its page, half of which the
migrations leave free for that, and none of the indexes is written
(docs/decisions/0007-claims-touch-no-index.md).
"""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from notifier.storage.tables.columns import clock, created_at, instant, metadata

# as PostgreSQL writes it, so that the two can be compared
OPEN_END = (
    "CASE WHEN status = ANY (ARRAY['failed'::text, 'held'::text, 'unknown'::text]) "
    "THEN status ELSE NULL::text END"
)

deliveries = Table(
    "deliveries",
    metadata,
    # no references to revision and destination, which would be looked for whenever a slot is planned:
    # triggers that the migrations make keep both from being deleted; the project is that of the destination
    Column("project_id", Uuid, nullable=False),
    Column("id", Uuid, nullable=False),
    # both are null for the test message of a destination, and for an event
    Column("notification_id", Uuid),
    Column("revision", Integer),
    Column("destination_id", Uuid, nullable=False),
    clock(),
    Column("trigger", Text, nullable=False),
    instant("scheduled_for", nullable=False),
    # a long run of missed or skipped slots is one row: how many, from `scheduled_for` up to `range_end`
    Column("slot_count", Integer, nullable=False, server_default=text("1")),
    instant("range_end"),
    # what rewords this slot
    Column("exception_id", Uuid),
    # what an event says: type, timestamp, data; written by triggers that the migrations make
    Column("event", JSONB),
    # whether somebody is to hear of it when it is delivered
    Column("watched", Boolean, nullable=False, server_default=text("false")),
    # the delivery that a replay repeats: the first of all, where replays are replayed; it may be gone by now
    Column("replay_of", Uuid),
    # when it is too late for the first attempt, by the slot's grace
    instant("start_by"),
    # when the next slot begins: no further attempt starts from then on
    instant("expires_at"),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("message_id", Text, nullable=False),
    Column("attempts_made", SmallInteger, nullable=False, server_default=text("0")),
    Column("unknown_streak", SmallInteger, nullable=False, server_default=text("0")),
    # when the next try is due; kept while it is under way, so that a claim leaves all indexes alone
    instant("next_attempt_at"),
    # counts the jobs made for this row; part of the job id, see engine.md 4
    Column("enqueue_seq", Integer, nullable=False, server_default=text("1")),
    instant("enqueued_at"),
    Column("lease_token", Uuid),
    instant("lease_expires_at"),
    instant("first_attempt_at"),
    instant("finished_at"),
    created_at(),
    # what people look for and decide about
    Column("open_end", Text, Computed(OPEN_END, persisted=True)),
    PrimaryKeyConstraint("project_id", "id"),
    ForeignKeyConstraint(
        ["project_id", "exception_id"],
        ["notification_exceptions.project_id", "notification_exceptions.id"],
        name="fk_deliveries_exception",
    ),
    CheckConstraint(
        "status IN ('pending', 'sending', 'retrying', 'held', 'unknown',"
        " 'delivered', 'failed', 'skipped', 'missed', 'canceled')",
        name="status",
    ),
    CheckConstraint("trigger IN ('schedule', 'manual', 'replay', 'test', 'event')", name="trigger"),
    CheckConstraint("(trigger = 'event') = (event IS NOT NULL)", name="event"),
    CheckConstraint("(status = 'sending') = (lease_token IS NOT NULL)", name="lease"),
    # or the rescuer would not find it
    CheckConstraint("status <> 'sending' OR next_attempt_at IS NOT NULL", name="due"),
)
# the instant first: new slots are written side by side, wherever in the project their notifications are
Index(
    "uq_deliveries_slot",
    deliveries.c.project_id,
    deliveries.c.scheduled_for,
    deliveries.c.notification_id,
    deliveries.c.destination_id,
    unique=True,
    postgresql_where=text("trigger = 'schedule'"),
)
# however often somebody asks at once: one replay of a delivery is open at a time
Index(
    "uq_deliveries_open_replay",
    deliveries.c.project_id,
    deliveries.c.replay_of,
    unique=True,
    postgresql_where=text("replay_of IS NOT NULL AND finished_at IS NULL"),
)
Index(
    "ix_deliveries_replays",
    deliveries.c.project_id,
    deliveries.c.replay_of,
    postgresql_where=text("replay_of IS NOT NULL"),
)
# a small part of the ledger
Index(
    "ix_deliveries_open_ends",
    deliveries.c.project_id,
    deliveries.c.open_end,
    deliveries.c.id,
    postgresql_where=deliveries.c.open_end.is_not(None),
)
Index(
    "uq_deliveries_event",
    deliveries.c.project_id,
    deliveries.c.destination_id,
    deliveries.c.message_id,
    unique=True,
    postgresql_where=text("trigger = 'event'"),
)
# for the check that nothing refers to an exception that goes
Index(
    "ix_deliveries_of_exception",
    deliveries.c.project_id,
    deliveries.c.exception_id,
    postgresql_where=deliveries.c.exception_id.is_not(None),
)
# the id, because thousands are planned at the same instant, and whoever walks goes on in the midst of them
Index(
    "ix_deliveries_waiting",
    deliveries.c.clock,
    deliveries.c.next_attempt_at,
    deliveries.c.id,
    postgresql_where=deliveries.c.next_attempt_at.is_not(None),
)
Index(
    "ix_deliveries_of_notification",
    deliveries.c.project_id,
    deliveries.c.notification_id,
    deliveries.c.id,
)
Index(
    "ix_deliveries_of_destination",
    deliveries.c.project_id,
    deliveries.c.destination_id,
    deliveries.c.id,
)

attempts = Table(
    "attempts",
    metadata,
    Column("project_id", Uuid, nullable=False),
    Column("delivery_id", Uuid, nullable=False),
    Column("number", SmallInteger, nullable=False),
    instant("started_at", nullable=False),
    Column("duration_ms", Integer),
    Column("outcome", Text),
    Column("status_code", Integer),
    Column("error", Text),
    # no reference to the delivery: attempts come from the statement that claims it, and a trigger that the
    # migrations make takes them along when it goes
    PrimaryKeyConstraint("project_id", "delivery_id", "number"),
    CheckConstraint(
        "outcome IN ('delivered', 'failed', 'rejected', 'timeout', 'connection_lost', 'unknown')",
        name="outcome",
    ),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("name", Text, primary_key=True),
    instant("beat_at", nullable=False),
)
