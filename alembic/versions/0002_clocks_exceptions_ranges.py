"""clocks exceptions ranges"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# A transaction follows the clock of a test project by setting `notifier.now`; all others the server's.
CLOCK_NOW = """
CREATE FUNCTION clock_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT coalesce(nullif(current_setting('notifier.now', true), '')::timestamptz, now()) $$
"""
STAMPED = (
    "api_keys",
    "deliveries",
    "destinations",
    "notification_revisions",
    "notifications",
    "projects",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(CLOCK_NOW)
    for table in STAMPED:
        op.alter_column(table, "created_at", server_default=sa.text("clock_now()"))
    op.create_table(
        "notification_exceptions",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("notification_id", sa.Uuid(), nullable=False),
        sa.Column(
            "clock",
            sa.Uuid(),
            server_default=sa.text("'00000000-0000-0000-0000-000000000000'"),
            nullable=False,
        ),
        sa.Column("slot_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("move_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_now()"), nullable=False
        ),
        sa.CheckConstraint(
            "(action = 'move') = (move_to IS NOT NULL)", name=op.f("ck_notification_exceptions_move_to")
        ),
        sa.CheckConstraint(
            "action IN ('skip', 'move', 'reword')", name=op.f("ck_notification_exceptions_action")
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "notification_id"],
            ["notifications.project_id", "notifications.id"],
            name="fk_notification_exceptions_notification",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_notification_exceptions")),
    )
    op.create_index(
        "ix_notification_exceptions_moved",
        "notification_exceptions",
        ["clock", "move_to"],
        unique=False,
        postgresql_where=sa.text("planned_at IS NULL AND deleted_at IS NULL"),
    )
    op.create_index(
        "uq_notification_exceptions_slot",
        "notification_exceptions",
        ["project_id", "notification_id", "slot_at"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.add_column(
        "deliveries",
        sa.Column(
            "clock",
            sa.Uuid(),
            server_default=sa.text("'00000000-0000-0000-0000-000000000000'"),
            nullable=False,
        ),
    )
    op.add_column(
        "deliveries", sa.Column("slot_count", sa.Integer(), server_default=sa.text("1"), nullable=False)
    )
    op.add_column("deliveries", sa.Column("range_end", sa.DateTime(timezone=True), nullable=True))
    op.add_column("deliveries", sa.Column("exception_id", sa.Uuid(), nullable=True))
    op.drop_index(
        op.f("ix_deliveries_leased"), table_name="deliveries", postgresql_where="(status = 'sending'::text)"
    )
    op.create_index(
        "ix_deliveries_leased",
        "deliveries",
        ["clock", "lease_expires_at"],
        unique=False,
        postgresql_where=sa.text("status = 'sending'"),
    )
    op.drop_index(
        op.f("ix_deliveries_waiting"),
        table_name="deliveries",
        postgresql_where="(status = ANY (ARRAY['pending'::text, 'retrying'::text]))",
    )
    op.create_index(
        "ix_deliveries_waiting",
        "deliveries",
        ["clock", "next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('pending', 'retrying')"),
    )
    op.create_foreign_key(
        "fk_deliveries_exception",
        "deliveries",
        "notification_exceptions",
        ["project_id", "exception_id"],
        ["project_id", "id"],
    )
    op.add_column(
        "notifications",
        sa.Column(
            "clock",
            sa.Uuid(),
            server_default=sa.text("'00000000-0000-0000-0000-000000000000'"),
            nullable=False,
        ),
    )
    op.add_column("notifications", sa.Column("tz_version", sa.Text(), nullable=True))
    op.add_column(
        "notifications", sa.Column("slots_sent", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("notifications", sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True))
    op.drop_index(
        op.f("ix_notifications_due"), table_name="notifications", postgresql_where="(status = 'active'::text)"
    )
    op.create_index(
        "ix_notifications_due",
        "notifications",
        ["clock", "next_due_at"],
        unique=False,
        postgresql_where=sa.text("status = 'active'"),
    )
    op.create_index(
        "ix_notifications_paused_until",
        "notifications",
        ["clock", "paused_until"],
        unique=False,
        postgresql_where=sa.text("status = 'paused' AND paused_until IS NOT NULL"),
    )
    op.add_column("projects", sa.Column("clock_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint("clock", "projects", "(mode = 'test') = (clock_at IS NOT NULL)")


def downgrade() -> None:
    for table in STAMPED:
        op.alter_column(table, "created_at", server_default=sa.func.now())
    op.drop_constraint(op.f("ck_projects_clock"), "projects", type_="check")
    op.drop_column("projects", "clock_at")
    op.drop_index(
        "ix_notifications_paused_until",
        table_name="notifications",
        postgresql_where=sa.text("status = 'paused' AND paused_until IS NOT NULL"),
    )
    op.drop_index(
        "ix_notifications_due", table_name="notifications", postgresql_where=sa.text("status = 'active'")
    )
    op.create_index(
        op.f("ix_notifications_due"),
        "notifications",
        ["next_due_at"],
        unique=False,
        postgresql_where="(status = 'active'::text)",
    )
    op.drop_column("notifications", "paused_until")
    op.drop_column("notifications", "slots_sent")
    op.drop_column("notifications", "tz_version")
    op.drop_column("notifications", "clock")
    op.drop_constraint("fk_deliveries_exception", "deliveries", type_="foreignkey")
    op.drop_index(
        "ix_deliveries_waiting",
        table_name="deliveries",
        postgresql_where=sa.text("status IN ('pending', 'retrying')"),
    )
    op.create_index(
        op.f("ix_deliveries_waiting"),
        "deliveries",
        ["next_attempt_at"],
        unique=False,
        postgresql_where="(status = ANY (ARRAY['pending'::text, 'retrying'::text]))",
    )
    op.drop_index(
        "ix_deliveries_leased", table_name="deliveries", postgresql_where=sa.text("status = 'sending'")
    )
    op.create_index(
        op.f("ix_deliveries_leased"),
        "deliveries",
        ["lease_expires_at"],
        unique=False,
        postgresql_where="(status = 'sending'::text)",
    )
    op.drop_column("deliveries", "exception_id")
    op.drop_column("deliveries", "range_end")
    op.drop_column("deliveries", "slot_count")
    op.drop_column("deliveries", "clock")
    op.drop_index(
        "uq_notification_exceptions_slot",
        table_name="notification_exceptions",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.drop_index(
        "ix_notification_exceptions_moved",
        table_name="notification_exceptions",
        postgresql_where=sa.text("planned_at IS NULL AND deleted_at IS NULL"),
    )
    op.drop_table("notification_exceptions")
    op.execute("DROP FUNCTION clock_now()")
