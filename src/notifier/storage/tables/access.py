"""Projects, their keys, and the answers kept for them."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY

from notifier.storage.tables.columns import created_at, instant, metadata

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
