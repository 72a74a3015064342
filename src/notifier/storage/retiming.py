"""SQL for a change of the zone data."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Row, Uuid, bindparam, text

from notifier.storage.engine import Session

OUTDATED = text("""
SELECT n.project_id, n.id, n.schedule::text AS schedule, n.anchor_at, n.next_due_at, n.last_slot_at,
  n.slots_sent, coalesce(p.clock_at, now()) AS now
FROM notifications AS n
JOIN projects AS p ON p.id = n.project_id
WHERE n.status IN ('active', 'paused', 'blocked') AND n.tz_version <> :version
  AND (n.project_id, n.id) > (:after_project_id, :after_id)
ORDER BY n.project_id, n.id
LIMIT :batch
FOR UPDATE OF n
""").bindparams(bindparam("after_project_id", type_=Uuid), bindparam("after_id", type_=Uuid))

UPDATE = text("""
UPDATE notifications AS n
SET next_due_at = retimed.next_due_at, tz_version = :version,
    completed_at = CASE WHEN retimed.next_due_at IS NULL THEN clock_now() END
FROM unnest(:project_ids, :ids, :next_due_ats) AS retimed (project_id, id, next_due_at)
WHERE n.project_id = retimed.project_id AND n.id = retimed.id
""").bindparams(
    bindparam("project_ids", type_=ARRAY(Uuid)),
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("next_due_ats", type_=ARRAY(DateTime(timezone=True))),
)


FIRST_ID = UUID(int=0)
"""No notification has it."""


@dataclass(frozen=True, slots=True)
class Retimed:
    """When a notification is due by the new zone data (UTC)."""

    project_id: UUID
    id: UUID
    next_due_at: datetime | None


async def outdated(session: Session, version: str, batch: int, after: Row[Any] | None) -> Sequence[Row[Any]]:
    """Lock and return up to `batch` notifications timed by other zone data, in the order of their ids.

    `after` is the last row of the batch before. `now` is what the project's clock says.
    """
    parameters = {
        "version": version,
        "batch": batch,
        "after_project_id": after.project_id if after else FIRST_ID,
        "after_id": after.id if after else FIRST_ID,
    }
    return (await session.execute(OUTDATED, parameters)).all()


async def update(session: Session, retimed: Sequence[Retimed], version: str) -> None:
    """Write when they are due, and by which version."""
    parameters = {
        "project_ids": [one.project_id for one in retimed],
        "ids": [one.id for one in retimed],
        "next_due_ats": [one.next_due_at for one in retimed],
        "version": version,
    }
    await session.execute(UPDATE, parameters)
