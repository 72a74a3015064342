"""A ledger as it looks after weeks: many notifications, a row a day for each of them, one attempt."""

from math import ceil

from benchmarks import due_rows
from benchmarks.servers import Servers

URL = "http://127.0.0.1:9/nobody-listens"

# Copies of the only destination: the first ones have many notifications, most have few.
DESTINATIONS = """
INSERT INTO destinations (project_id, id, kind, name, config, fingerprint, secrets, updated_at)
SELECT project_id, uuidv7(), kind, name, config, fingerprint || n, secrets, updated_at
FROM destinations, generate_series(2, {count}) AS n;
CREATE TABLE numbered AS SELECT (row_number() OVER (ORDER BY id))::int AS number, id FROM destinations;
CREATE INDEX ON numbered (number);
ANALYZE numbered;
UPDATE notification_destinations AS u SET destination_id = numbered.id
FROM (
  SELECT notification_id, 1 + floor({count} * random() ^ 3)::int AS number FROM notification_destinations
) AS x
JOIN numbered USING (number)
WHERE u.notification_id = x.notification_id;
UPDATE notifications SET next_due_at = now() + interval '6 hours' + random() * interval '18 hours'
"""

# One day of all notifications, in the order of their slots. Of a hundred, 98 were delivered.
DAY = """
WITH slots AS MATERIALIZED (
  SELECT n.project_id, n.id AS notification_id, u.destination_id,
    n.next_due_at - interval '{days} days' AS slot,
    uuidv7(n.next_due_at - interval '{days} days' - now()) AS id, random() < 0.98 AS delivered
  FROM notifications AS n
  JOIN notification_destinations AS u ON u.project_id = n.project_id AND u.notification_id = n.id
  ORDER BY n.next_due_at
), tried AS (
  INSERT INTO attempts (project_id, delivery_id, number, started_at, duration_ms, outcome, status_code)
  SELECT project_id, id, 1, slot + interval '1 second', 35, 'delivered', 200 FROM slots WHERE delivered
)
INSERT INTO deliveries (
  project_id, id, notification_id, revision, destination_id, trigger, scheduled_for, expires_at, status,
  reason, message_id, attempts_made, first_attempt_at, finished_at, created_at)
SELECT project_id, id, notification_id, 1, destination_id, 'schedule', slot, slot + interval '1 day',
  CASE WHEN delivered THEN 'delivered' ELSE 'skipped' END, CASE WHEN delivered THEN NULL ELSE 'holiday' END,
  'msg_' || md5(id::text), delivered::int, CASE WHEN delivered THEN slot + interval '1 second' END,
  slot + interval '2 seconds', slot
FROM slots
"""
SCATTERED = ("ix_deliveries_of_notification", "ix_deliveries_of_destination")
"""Indexes that are filled much faster afterwards: their new entries go all over them."""


def fill(servers: Servers, database: str, rows: int, notifications: int) -> None:
    """Make a migrated database with about `rows` ended deliveries of `notifications`, none of them due."""
    due_rows.make_due(servers, database, [URL], 1)
    # no foreign keys, no triggers, no waiting for the disk while this runs
    for setting in (
        "session_replication_role = replica",
        "synchronous_commit = off",
        "maintenance_work_mem = '512MB'",
    ):
        servers.sql(database, f"ALTER DATABASE {database} SET {setting}")
    due_rows.copy(servers, database, notifications - 1)
    servers.sql(database, DESTINATIONS.format(count=max(notifications // 10, 2)))
    indexes = [row["indexdef"] for row in servers.sql(database, _definitions())]
    servers.sql(database, f"DROP INDEX {', '.join(SCATTERED)}")
    for days in range(ceil(rows / notifications), 0, -1):
        servers.sql(database, DAY.format(days=days + 1))
    for index in indexes:
        servers.sql(database, index)
    servers.sql(database, f"ALTER DATABASE {database} RESET ALL")
    servers.sql(database, "VACUUM ANALYZE")
    servers.sql(database, "CHECKPOINT")


def _definitions() -> str:
    names = ", ".join(f"'{name}'" for name in SCATTERED)
    return f"SELECT indexdef FROM pg_indexes WHERE indexname IN ({names})"
