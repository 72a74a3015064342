"""The tables. Every row belongs to a project; composite keys keep rows of two projects apart.

All instants are `timestamptz` in UTC. The partial indexes carry the predicates of the queries in
`planning`, `claims` and `rescue` word for word, so that PostgreSQL can use them.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.sql.functions import GenericFunction

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

NOTIFICATION_STATUS = (
    "CASE WHEN deleted_at IS NOT NULL THEN 'deleted' "
    "WHEN completed_at IS NOT NULL THEN 'completed' "
    "WHEN blocked_at IS NOT NULL THEN 'blocked' "
    "WHEN paused_at IS NOT NULL THEN 'paused' "
    "ELSE 'active' END"
)


LIVE = UUID(int=0)
"""The clock of live projects: the database's. A test project has a clock of its own, named by its id."""


class clock_now(GenericFunction[datetime]):  # noqa: N801 - named as in SQL
    """The instant by the clock that the transaction follows; a function that the migrations make."""

    type = DateTime(timezone=True)
    inherit_cache = True


def clock() -> Column[Any]:
    """Return the column that says which clock a row goes by."""
    return Column("clock", Uuid, nullable=False, server_default=text(f"'{LIVE}'"))


def instant(name: str, *, nullable: bool = True) -> Column[Any]:
    """Return a column for an instant in UTC."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


def created_at() -> Column[Any]:
    """Return the column that says when the row came to be."""
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=clock_now())


projects = Table(
    "projects",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("mode", Text, nullable=False),
    # where the clock of a test project stands
    instant("clock_at"),
    created_at(),
    CheckConstraint("mode IN ('live', 'test')", name="mode"),
    CheckConstraint("(mode = 'test') = (clock_at IS NOT NULL)", name="clock"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("project_id", Uuid, ForeignKey("projects.id"), nullable=False),
    Column("id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("key_hash", LargeBinary, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False),
    instant("revoked_at"),
    created_at(),
    PrimaryKeyConstraint("project_id", "id"),
    UniqueConstraint("project_id", "name"),
)

destinations = Table(
    "destinations",
    metadata,
    Column("project_id", Uuid, ForeignKey("projects.id"), nullable=False),
    Column("id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    # as it may be shown; where that hides something, all of it is in `sealed_config`, encrypted
    Column("config", JSONB, nullable=False),
    Column("sealed_config", LargeBinary),
    Column("fingerprint", Text, nullable=False),
    Column("secrets", ARRAY(LargeBinary), nullable=False, server_default=text("'{}'")),
    Column("revision", Integer, nullable=False, server_default=text("1")),
    instant("blocked_at"),
    Column("blocked_reason", Text),
    instant("deleted_at"),
    instant("updated_at", nullable=False),
    created_at(),
    PrimaryKeyConstraint("project_id", "id"),
)
Index(
    "ix_destinations_fingerprint",
    destinations.c.project_id,
    destinations.c.fingerprint,
    postgresql_where=destinations.c.deleted_at.is_(None),
)

notifications = Table(
    "notifications",
    metadata,
    Column("project_id", Uuid, ForeignKey("projects.id"), nullable=False),
    Column("id", Uuid, nullable=False),
    Column("external_id", Text),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("data", JSONB, nullable=False),
    Column("schedule", JSONB, nullable=False),
    clock(),
    # version of the zone data that `next_due_at` was worked out with, where a zone plays a part
    Column("tz_version", Text),
    # the instant an interval counts from, and its period where every delivery moves that instant
    instant("anchor_at", nullable=False),
    Column("drift_seconds", Integer),
    instant("next_due_at"),
    instant("last_slot_at"),
    # how many slots have been taken up to be sent, for `max_occurrences`
    Column("slots_sent", Integer, nullable=False, server_default=text("0")),
    instant("last_delivered_at"),
    instant("paused_at"),
    Column("pause_reason", Text),
    Column("paused_by", Text),
    instant("paused_until"),
    instant("blocked_at"),
    Column("blocked_reason", Text),
    instant("completed_at"),
    instant("deleted_at"),
    Column("status", Text, Computed(NOTIFICATION_STATUS, persisted=True), nullable=False),
    Column("revision", Integer, nullable=False, server_default=text("1")),
    instant("updated_at", nullable=False),
    created_at(),
    PrimaryKeyConstraint("project_id", "id"),
)
Index(
    "ix_notifications_due",
    notifications.c.clock,
    notifications.c.next_due_at,
    postgresql_where=text("status = 'active'"),
)
Index(
    "ix_notifications_paused_until",
    notifications.c.clock,
    notifications.c.paused_until,
    postgresql_where=text("status = 'paused' AND paused_until IS NOT NULL"),
)
Index(
    "uq_notifications_external_id",
    notifications.c.project_id,
    notifications.c.external_id,
    unique=True,
    postgresql_where=notifications.c.deleted_at.is_(None),
)

notification_destinations = Table(
    "notification_destinations",
    metadata,
    Column("project_id", Uuid, nullable=False),
    Column("notification_id", Uuid, nullable=False),
    Column("destination_id", Uuid, nullable=False),
    Column("position", SmallInteger, nullable=False),
    PrimaryKeyConstraint("project_id", "notification_id", "destination_id"),
    ForeignKeyConstraint(
        ["project_id", "notification_id"],
        ["notifications.project_id", "notifications.id"],
        name="fk_notification_destinations_notification",
        ondelete="CASCADE",
    ),
    ForeignKeyConstraint(
        ["project_id", "destination_id"],
        ["destinations.project_id", "destinations.id"],
        name="fk_notification_destinations_destination",
    ),
    Index("ix_notification_destinations_destination", "project_id", "destination_id"),
)

notification_revisions = Table(
    "notification_revisions",
    metadata,
    Column("project_id", Uuid, nullable=False),
    Column("notification_id", Uuid, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("data", JSONB, nullable=False),
    Column("schedule", JSONB, nullable=False),
    Column("changed_by", Text, nullable=False),
    created_at(),
    PrimaryKeyConstraint("project_id", "notification_id", "revision"),
    ForeignKeyConstraint(
        ["project_id", "notification_id"],
        ["notifications.project_id", "notifications.id"],
        name="fk_notification_revisions_notification",
        ondelete="CASCADE",
    ),
)

notification_exceptions = Table(
    "notification_exceptions",
    metadata,
    Column("project_id", Uuid, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("notification_id", Uuid, nullable=False),
    clock(),
    # the slot of the rule that is skipped, moved or reworded
    instant("slot_at", nullable=False),
    Column("action", Text, nullable=False),
    instant("move_to"),
    Column("title", Text),
    Column("body", Text),
    # when the moved slot was planned; until then the exception can be undone
    instant("planned_at"),
    instant("deleted_at"),
    created_at(),
    PrimaryKeyConstraint("project_id", "id"),
    ForeignKeyConstraint(
        ["project_id", "notification_id"],
        ["notifications.project_id", "notifications.id"],
        name="fk_notification_exceptions_notification",
        ondelete="CASCADE",
    ),
    CheckConstraint("action IN ('skip', 'move', 'reword')", name="action"),
    CheckConstraint("(action = 'move') = (move_to IS NOT NULL)", name="move_to"),
)
Index(
    "uq_notification_exceptions_slot",
    notification_exceptions.c.project_id,
    notification_exceptions.c.notification_id,
    notification_exceptions.c.slot_at,
    unique=True,
    postgresql_where=notification_exceptions.c.deleted_at.is_(None),
)
Index(
    "ix_notification_exceptions_moved",
    notification_exceptions.c.clock,
    notification_exceptions.c.move_to,
    postgresql_where=text("planned_at IS NULL AND deleted_at IS NULL"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("project_id", Uuid, ForeignKey("projects.id"), nullable=False),
    Column("id", Uuid, nullable=False),
    # both are null for the test message of a destination
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
    # when the next slot begins: no attempt starts after it
    instant("expires_at"),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("message_id", Text, nullable=False),
    Column("attempts_made", SmallInteger, nullable=False, server_default=text("0")),
    Column("unknown_streak", SmallInteger, nullable=False, server_default=text("0")),
    instant("next_attempt_at"),
    # counts the jobs made for this row; part of the job id, see engine.md 4
    Column("enqueue_seq", Integer, nullable=False, server_default=text("1")),
    instant("enqueued_at"),
    Column("lease_token", Uuid),
    instant("lease_expires_at"),
    instant("first_attempt_at"),
    instant("finished_at"),
    created_at(),
    PrimaryKeyConstraint("project_id", "id"),
    ForeignKeyConstraint(
        ["project_id", "notification_id", "revision"],
        [
            "notification_revisions.project_id",
            "notification_revisions.notification_id",
            "notification_revisions.revision",
        ],
        name="fk_deliveries_revision",
    ),
    ForeignKeyConstraint(
        ["project_id", "destination_id"],
        ["destinations.project_id", "destinations.id"],
        name="fk_deliveries_destination",
    ),
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
    CheckConstraint("trigger IN ('schedule', 'manual', 'replay', 'test')", name="trigger"),
    CheckConstraint("(status = 'sending') = (lease_token IS NOT NULL)", name="lease"),
)
Index(
    "uq_deliveries_slot",
    deliveries.c.project_id,
    deliveries.c.notification_id,
    deliveries.c.destination_id,
    deliveries.c.scheduled_for,
    unique=True,
    postgresql_where=text("trigger = 'schedule'"),
)
Index(
    "ix_deliveries_waiting",
    deliveries.c.clock,
    deliveries.c.next_attempt_at,
    postgresql_where=text("status IN ('pending', 'retrying')"),
)
Index(
    "ix_deliveries_leased",
    deliveries.c.clock,
    deliveries.c.lease_expires_at,
    postgresql_where=text("status = 'sending'"),
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
    PrimaryKeyConstraint("project_id", "delivery_id", "number"),
    ForeignKeyConstraint(
        ["project_id", "delivery_id"],
        ["deliveries.project_id", "deliveries.id"],
        name="fk_attempts_delivery",
        ondelete="CASCADE",
    ),
    CheckConstraint(
        "outcome IN ('delivered', 'failed', 'rejected', 'timeout', 'connection_lost', 'unknown')",
        name="outcome",
    ),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("project_id", Uuid, ForeignKey("projects.id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    # the answer, encrypted: it may hold a signing secret that is shown only once
    Column("answer", LargeBinary),
    # by the server's clock, whatever the project's: it is kept for a day
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("project_id", "key"),
    Index("ix_idempotency_keys_created_at", "created_at"),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("name", Text, primary_key=True),
    instant("beat_at", nullable=False),
)
