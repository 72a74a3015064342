"""SQL for a change of the zone data."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Row, Uuid, bindparam, text

from notifier.storage.engine import Session

OUTDATED = text("""
SELECT project_id, id, schedule, anchor_at, next_due_at, last_slot_at, slots_sent, clock_now() AS now
FROM notifications
WHERE status IN ('active', 'paused', 'blocked') AND tz_version <> :version
LIMIT :batch
FOR UPDATE SKIP LOCKED
""")

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


@dataclass(frozen=True, slots=True)
class Retimed:
    """When a notification is due by the new zone data (UTC)."""

    project_id: UUID
    id: UUID
    next_due_at: datetime | None


async def outdated(session: Session, version: str, batch: int) -> Sequence[Row[Any]]:
    """Lock and return up to `batch` notifications that were timed by another version of the zone data."""
    return (await session.execute(OUTDATED, {"version": version, "batch": batch})).all()


async def update(session: Session, retimed: Sequence[Retimed], version: str) -> None:
    """Write when they are due, and by which version."""
    parameters = {
        "project_ids": [one.project_id for one in retimed],
        "ids": [one.id for one in retimed],
        "next_due_ats": [one.next_due_at for one in retimed],
        "version": version,
    }
    await session.execute(UPDATE, parameters)
