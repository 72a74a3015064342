"""the ledger refers to nobody"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Who has no external id is no longer an entry of this index, which every move of a notification writes.
EXTERNAL_ID = ("uq_notifications_external_id", "notifications", ["project_id", "external_id"])
ALIVE = "deleted_at IS NULL"

# Foreign keys look for both ends of each delivery when it is planned. They are kept from one side now: what a
# delivery was made from cannot be deleted. Those who add deliveries have it locked, or know that it stays.
REFUSE = """
CREATE FUNCTION refuse_to_orphan() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_TABLE_NAME = 'destinations' THEN
    -- ordered, or PostgreSQL may read all of the ledger for a destination that has none
    PERFORM FROM deliveries AS d WHERE d.project_id = OLD.project_id AND d.destination_id = OLD.id
    ORDER BY d.id LIMIT 1;
  ELSE
    PERFORM FROM deliveries AS d
    WHERE d.project_id = OLD.project_id AND d.notification_id = OLD.notification_id
      AND d.revision = OLD.revision
    LIMIT 1;
  END IF;
  IF FOUND THEN
    RAISE foreign_key_violation USING MESSAGE = 'a delivery refers to this row of ' || TG_TABLE_NAME;
  END IF;
  RETURN OLD;
END $$
"""
KEPT = ("destinations", "notification_revisions")
TRIGGER = "CREATE TRIGGER refuse_to_orphan BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_to_orphan()"


def upgrade() -> None:
    _lock()
    for name in ("fk_deliveries_revision", "fk_deliveries_destination"):
        op.drop_constraint(name, "deliveries", type_="foreignkey")
    op.execute(REFUSE)
    for table in KEPT:
        op.execute(TRIGGER.format(table=table))
    _index_external_ids(f"{ALIVE} AND external_id IS NOT NULL")


def _lock() -> None:
    """Take all locks at once, in the order in which workers take theirs, so that nobody waits in a circle."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(f"LOCK TABLE deliveries, notifications, {', '.join(reversed(KEPT))}")


def _index_external_ids(where: str) -> None:
    name, table, columns = EXTERNAL_ID
    op.drop_index(name, table_name=table)
    op.create_index(name, table, columns, unique=True, postgresql_where=sa.text(where))


def downgrade() -> None:
    _lock()
    op.create_foreign_key(
        "fk_deliveries_revision",
        "deliveries",
        "notification_revisions",
        ["project_id", "notification_id", "revision"],
        ["project_id", "notification_id", "revision"],
    )
    op.create_foreign_key(
        "fk_deliveries_destination",
        "deliveries",
        "destinations",
        ["project_id", "destination_id"],
        ["project_id", "id"],
    )
    for table in KEPT:
        op.execute(f"DROP TRIGGER refuse_to_orphan ON {table}")
    op.execute("DROP FUNCTION refuse_to_orphan()")
    _index_external_ids(ALIVE)
