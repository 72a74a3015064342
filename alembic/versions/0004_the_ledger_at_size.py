"""the ledger at size"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Revisions from before this migration, as if it had always noted when they were replaced.
NOTE_REPLACED = """
UPDATE notification_revisions AS r SET replaced_at = next.created_at
FROM notification_revisions AS next
WHERE next.project_id = r.project_id AND next.notification_id = r.notification_id
  AND next.revision = (
    SELECT min(later.revision) FROM notification_revisions AS later
    WHERE later.project_id = r.project_id AND later.notification_id = r.notification_id
      AND later.revision > r.revision
  )
"""
SLOT = ("project_id", "notification_id", "destination_id", "scheduled_for")
SLOT_BY_TIME = ("project_id", "scheduled_for", "notification_id", "destination_id")

# With PostgreSQL's own 20 %, a hundred million rows would gather twenty million dead ones between two runs.
VACUUM_EARLY = "autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02"
LEDGER = ("deliveries", "attempts")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _index_slots(SLOT_BY_TIME)
    for table in LEDGER:
        op.execute(f"ALTER TABLE {table} SET ({VACUUM_EARLY})")
    op.create_index(
        "ix_deliveries_of_exception",
        "deliveries",
        ["project_id", "exception_id"],
        unique=False,
        postgresql_where=sa.text("exception_id IS NOT NULL"),
    )
    op.add_column(
        "notification_revisions", sa.Column("replaced_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.execute(NOTE_REPLACED)
    op.create_index(
        "ix_notification_revisions_replaced",
        "notification_revisions",
        ["replaced_at"],
        unique=False,
        postgresql_where=sa.text("replaced_at IS NOT NULL"),
    )
    op.create_index(
        "ix_notifications_deleted",
        "notifications",
        ["deleted_at"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_index(
        "ix_notification_exceptions_slot_at", "notification_exceptions", ["slot_at"], unique=False
    )


def _index_slots(columns: tuple[str, ...]) -> None:
    op.drop_index("uq_deliveries_slot", table_name="deliveries")
    where = sa.text("trigger = 'schedule'")
    op.create_index("uq_deliveries_slot", "deliveries", list(columns), unique=True, postgresql_where=where)


def downgrade() -> None:
    op.drop_index("ix_notification_exceptions_slot_at", table_name="notification_exceptions")
    op.drop_index("ix_notifications_deleted", table_name="notifications")
    op.drop_index("ix_notification_revisions_replaced", table_name="notification_revisions")
    op.drop_column("notification_revisions", "replaced_at")
    op.drop_index("ix_deliveries_of_exception", table_name="deliveries")
    for table in LEDGER:
        op.execute(f"ALTER TABLE {table} RESET ({VACUUM_EARLY.replace(' = 0.02', '')})")
    _index_slots(SLOT)
