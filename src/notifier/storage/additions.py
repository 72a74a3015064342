"""New notifications, one or a thousand, with their first revision and their destinations: one statement."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Text, bindparam, column, select, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from notifier.storage.engine import Session
from notifier.storage.tables import notifications

# In the order of their external ids: of two callers who add the same ones, neither waits for the other
# while the other waits for it. The destinations are held, so that none is deleted before the commit.
COLUMNS = ", ".join(f"added.{one.name}" for one in notifications.c)
ADD = text(f"""
WITH given AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (
    id uuid, external_id text, title text, body text, data jsonb, schedule jsonb, tz_version text,
    anchor_at timestamptz, drift_seconds integer, next_due_at timestamptz, destinations jsonb)
), held AS MATERIALIZED (
  SELECT id FROM destinations
  WHERE project_id = CAST(:project_id AS uuid) AND id = ANY(CAST(:destination_ids AS uuid[]))
    AND deleted_at IS NULL
  ORDER BY id FOR SHARE
), added AS (
  INSERT INTO notifications (
    project_id, clock, id, external_id, title, body, data, schedule, tz_version, anchor_at, drift_seconds,
    next_due_at, updated_at, created_at)
  SELECT CAST(:project_id AS uuid), CAST(:clock AS uuid), id, external_id, title, body, data, schedule,
    tz_version, anchor_at, drift_seconds, next_due_at, CAST(:now AS timestamptz), CAST(:now AS timestamptz)
  FROM given WHERE (SELECT count(*) FROM held) = cardinality(CAST(:destination_ids AS uuid[]))
  ORDER BY external_id, id
  ON CONFLICT (project_id, external_id) WHERE deleted_at IS NULL AND external_id IS NOT NULL DO NOTHING
  RETURNING *
), remembered AS (
  INSERT INTO notification_revisions
    (project_id, notification_id, revision, title, body, data, schedule, changed_by, created_at)
  SELECT project_id, id, revision, title, body, data, schedule, CAST(:changed_by AS text), created_at
  FROM added
), addressed AS (
  INSERT INTO notification_destinations (project_id, notification_id, destination_id, position)
  SELECT added.project_id, added.id, CAST(used.one ->> 'id' AS uuid), used.position - 1
  FROM added JOIN given USING (id)
  CROSS JOIN jsonb_array_elements(given.destinations) WITH ORDINALITY AS used (one, position)
)
SELECT {COLUMNS}, given.destinations, CAST('[]' AS jsonb) AS exceptions FROM added JOIN given USING (id)
""").columns(*notifications.c, column("destinations", JSONB), column("exceptions", JSONB))


async def add(
    session: Session, project_id: UUID, rows: Sequence[Mapping[str, Any]], *, now: datetime, changed_by: str
) -> dict[UUID, Row[Any]]:
    """Store new notifications, made `now` (UTC), and return them by id, as `notifications.get` does.

    `destinations` of a row is the list of those it sends to, as it is shown. A row whose external id is
    taken is left out of the answer, and so are all if one of the destinations is gone.
    """
    values = {
        "rows": _dump(rows),
        "project_id": project_id,
        "destination_ids": list({UUID(one["id"]) for row in rows for one in row["destinations"]}),
        "clock": session.clock.id,
        "now": now,
        "changed_by": changed_by,
    }
    return {row.id: row for row in await session.alone(ADD, values)}


def _dump(rows: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(rows, default=_plain)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


TAKEN = select(notifications.c.external_id).where(
    notifications.c.project_id == bindparam("project_id"),
    notifications.c.external_id == bindparam("external_ids", type_=ARRAY(Text)).any_(),
    notifications.c.deleted_at.is_(None),
)


async def taken(session: Session, project_id: UUID, external_ids: Collection[str]) -> set[str]:
    """Return which of these external ids notifications of the project have."""
    wanted = {"project_id": project_id, "external_ids": list(external_ids)}
    return set((await session.execute(TAKEN, wanted)).scalars())
