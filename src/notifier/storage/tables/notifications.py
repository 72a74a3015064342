"""Notifications, their history and exceptions, and the destinations they go to."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Computed,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from notifier.storage.tables.columns import clock, created_at, instant, metadata

NOTIFICATION_STATUS = (
    "CASE WHEN deleted_at IS NOT NULL THEN 'deleted' "
    "WHEN completed_at IS NOT NULL THEN 'completed' "
    "WHEN blocked_at IS NOT NULL THEN 'blocked' "
    "WHEN paused_at IS NOT NULL THEN 'paused' "
    "ELSE 'active' END"
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
    # what follows an attempt whose outcome nobody knows
    Column("on_unknown", Text, nullable=False, server_default=text("'retry'")),
    # seconds between tries; the service's where there are none
    Column("retry_schedule", ARRAY(Float)),
    Column("revision", Integer, nullable=False, server_default=text("1")),
    # since when every attempt has failed, and how many deliveries that concerned: counted up to a limit, so
    # that the row is seldom written
    instant("failing_since"),
    Column("failed_deliveries", SmallInteger, nullable=False, server_default=text("0")),
    instant("blocked_at"),
    Column("blocked_reason", Text),
    instant("deleted_at"),
    instant("updated_at", nullable=False),
    created_at(),
    PrimaryKeyConstraint("project_id", "id"),
    CheckConstraint("on_unknown IN ('retry', 'hold')", name="on_unknown"),
)
Index(
    "ix_destinations_failing",
    destinations.c.failing_since,
    postgresql_where=text("failing_since IS NOT NULL AND blocked_at IS NULL"),
)
Index(
    "ix_destinations_fingerprint",
    destinations.c.project_id,
    destinations.c.fingerprint,
    postgresql_where=destinations.c.deleted_at.is_(None),
)

# which destinations hear of which events of the project
event_subscriptions = Table(
    "event_subscriptions",
    metadata,
    Column("project_id", Uuid, nullable=False),
    Column("destination_id", Uuid, nullable=False),
    Column("types", ARRAY(Text), nullable=False),
    PrimaryKeyConstraint("project_id", "destination_id"),
    ForeignKeyConstraint(
        ["project_id", "destination_id"],
        ["destinations.project_id", "destinations.id"],
        name="fk_event_subscriptions_destination",
    ),
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
    postgresql_where=text("deleted_at IS NULL AND external_id IS NOT NULL"),
)
Index(
    "ix_notifications_deleted",
    notifications.c.deleted_at,
    postgresql_where=notifications.c.deleted_at.is_not(None),
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
    # when the next one was made
    instant("replaced_at"),
    PrimaryKeyConstraint("project_id", "notification_id", "revision"),
    ForeignKeyConstraint(
        ["project_id", "notification_id"],
        ["notifications.project_id", "notifications.id"],
        name="fk_notification_revisions_notification",
        ondelete="CASCADE",
    ),
)
Index(
    "ix_notification_revisions_replaced",
    notification_revisions.c.replaced_at,
    postgresql_where=notification_revisions.c.replaced_at.is_not(None),
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
Index("ix_notification_exceptions_slot_at", notification_exceptions.c.slot_at)
