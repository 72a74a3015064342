"""claims that touch no index"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# as PostgreSQL writes it, so that the two can be compared
OPEN_END = (
    "CASE WHEN status = ANY (ARRAY['failed'::text, 'held'::text, 'unknown'::text]) "
    "THEN status ELSE NULL::text END"
)

# Half of a page, and a little, is left for the rows that follow when deliveries are claimed and attempts
# recorded: they stay in the page, and no index is written.
ROOM = {"deliveries": 45, "attempts": 45}

# What a worker holds kept no instant before this migration.
KEEP_DUE = """
UPDATE deliveries SET next_attempt_at = coalesce(first_attempt_at, created_at)
WHERE status = 'sending' AND next_attempt_at IS NULL
"""

# How late a first attempt may start was said by what ends the retries, too.
KEEP_LATENESS = """
UPDATE deliveries SET start_by = expires_at
WHERE status IN ('pending', 'sending') AND expires_at IS NOT NULL
"""
MERGE_LATENESS = """
UPDATE deliveries SET expires_at = least(start_by, expires_at) WHERE status IN ('pending', 'sending')
"""

# One statement for all that are deleted together; a foreign key would look for each attempt's delivery
# whenever one is claimed, too.
FORGET_ATTEMPTS = """
CREATE FUNCTION forget_attempts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM attempts AS a USING gone WHERE a.project_id = gone.project_id AND a.delivery_id = gone.id;
  RETURN NULL;
END $$
"""
ATTEMPTS_TRIGGER = """
CREATE TRIGGER forget_attempts AFTER DELETE ON deliveries REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION forget_attempts()
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for index in (
        "ix_deliveries_waiting",
        "ix_deliveries_leased",
        "ix_deliveries_open_ends",
        "uq_deliveries_open_replay",
    ):
        op.drop_index(index, table_name="deliveries")
    op.drop_constraint("fk_attempts_delivery", "attempts", type_="foreignkey")
    op.execute(FORGET_ATTEMPTS)
    op.execute(ATTEMPTS_TRIGGER)
    # the reference to the destination holds the project, too
    op.drop_constraint("fk_deliveries_project_id", "deliveries", type_="foreignkey")
    for table, percent in ROOM.items():
        op.execute(f"ALTER TABLE {table} SET (fillfactor = {percent})")
    op.execute(KEEP_DUE)
    op.add_column("deliveries", sa.Column("start_by", sa.DateTime(timezone=True)))
    op.execute(KEEP_LATENESS)
    op.add_column("deliveries", sa.Column("open_end", sa.Text(), sa.Computed(OPEN_END, persisted=True)))
    op.create_check_constraint("due", "deliveries", "status <> 'sending' OR next_attempt_at IS NOT NULL")
    _create_index("ix_deliveries_waiting", ["clock", "next_attempt_at", "id"], "next_attempt_at IS NOT NULL")
    _create_index("ix_deliveries_open_ends", ["project_id", "open_end", "id"], "open_end IS NOT NULL")
    _create_index(
        "uq_deliveries_open_replay",
        ["project_id", "replay_of"],
        "replay_of IS NOT NULL AND finished_at IS NULL",
        unique=True,
    )


def _create_index(name: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    op.create_index(name, "deliveries", columns, unique=unique, postgresql_where=sa.text(where))


def downgrade() -> None:
    for index in ("ix_deliveries_waiting", "ix_deliveries_open_ends", "uq_deliveries_open_replay"):
        op.drop_index(index, table_name="deliveries")
    op.drop_constraint(op.f("ck_deliveries_due"), "deliveries", type_="check")
    op.drop_column("deliveries", "open_end")
    op.execute(MERGE_LATENESS)
    op.drop_column("deliveries", "start_by")
    op.execute("UPDATE deliveries SET next_attempt_at = NULL WHERE status = 'sending'")
    for table in ROOM:
        op.execute(f"ALTER TABLE {table} RESET (fillfactor)")
    op.create_foreign_key("fk_deliveries_project_id", "deliveries", "projects", ["project_id"], ["id"])
    op.execute("DROP TRIGGER forget_attempts ON deliveries")
    op.execute("DROP FUNCTION forget_attempts()")
    op.create_foreign_key(
        "fk_attempts_delivery",
        "attempts",
        "deliveries",
        ["project_id", "delivery_id"],
        ["project_id", "id"],
        ondelete="CASCADE",
    )
    _create_index("ix_deliveries_waiting", ["clock", "next_attempt_at"], "status IN ('pending', 'retrying')")
    _create_index("ix_deliveries_leased", ["clock", "lease_expires_at"], "status = 'sending'")
    _create_index(
        "ix_deliveries_open_ends",
        ["project_id", "status", "id"],
        "status IN ('failed', 'held', 'unknown')",
    )
    _create_index(
        "uq_deliveries_open_replay",
        ["project_id", "replay_of"],
        "replay_of IS NOT NULL AND status IN ('pending', 'sending', 'retrying', 'held', 'unknown')",
        unique=True,
    )
