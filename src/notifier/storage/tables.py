"""The tables. Every row belongs to a project; composite keys keep rows of two projects apart.

All instants are `timestamptz` in UTC. The partial indexes carry the predicates of the queries in
`planning`, `claims` and `rescue` word for word, so that PostgreSQL can use them.
"""

from typing import Any

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


def instant(name: str, *, nullable: bool = True) -> Column[Any]:
    """Return a column for an instant in UTC."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


def created_at() -> Column[Any]:
    """Return the column that says when the row came to be."""
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now())


projects = Table(
    "projects",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("mode", Text, nullable=False),
    created_at(),
    CheckConstraint("mode IN ('live', 'test')", name="mode"),
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
    # the instant an interval counts from, and its period where every delivery moves that instant
    instant("anchor_at", nullable=False),
    Column("drift_seconds", Integer),
    instant("next_due_at"),
    instant("last_slot_at"),
    instant("last_delivered_at"),
    instant("paused_at"),
    Column("pause_reason", Text),
    Column("paused_by", Text),
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
    notifications.c.next_due_at,
    postgresql_where=text("status = 'active'"),
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

deliveries = Table(
    "deliveries",
    metadata,
    Column("project_id", Uuid, ForeignKey("projects.id"), nullable=False),
    Column("id", Uuid, nullable=False),
    # both are null for the test message of a destination
    Column("notification_id", Uuid),
    Column("revision", Integer),
    Column("destination_id", Uuid, nullable=False),
    Column("trigger", Text, nullable=False),
    instant("scheduled_for", nullable=False),
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
    deliveries.c.next_attempt_at,
    postgresql_where=text("status IN ('pending', 'retrying')"),
)
Index(
    "ix_deliveries_leased",
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
    created_at(),
    PrimaryKeyConstraint("project_id", "key"),
    Index("ix_idempotency_keys_created_at", "created_at"),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("name", Text, primary_key=True),
    instant("beat_at", nullable=False),
)
