"""SQL of the retention: history that is old goes, a batch at a time, and never what is still open.

Old is what ended before the limit. Where a test project has a clock of its own, whose years pass in seconds,
its ids tell instead: they are UUIDv7, made by the server's clock. By their ids old deliveries are found, too:
the primary key holds them in the order in which they were made, and no index of its own is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, Uuid, bindparam, text

from notifier.storage.engine import Session
from notifier.storage.tables import LIVE

# One look at the oldest row of each project.
PROJECTS = text("""
SELECT p.id FROM projects AS p CROSS JOIN LATERAL (
  SELECT d.id FROM deliveries AS d WHERE d.project_id = p.id ORDER BY d.project_id, d.id LIMIT 1
) AS oldest
WHERE oldest.id < :first_kept
""").bindparams(bindparam("first_kept", type_=Uuid))

# Their attempts go with them. What somebody holds is passed over; the next pass comes by again.
DELETE_DELIVERIES = text("""
WITH old AS MATERIALIZED (
  SELECT project_id, id FROM deliveries
  WHERE project_id = :project_id AND id > :after AND id < :first_kept
    AND status IN ('delivered', 'failed', 'skipped', 'missed', 'canceled')
    AND (clock <> :live OR finished_at < now() - make_interval(days => :days))
  ORDER BY id
  LIMIT :batch
  FOR UPDATE SKIP LOCKED
)
DELETE FROM deliveries AS d USING old
WHERE d.project_id = old.project_id AND d.id = old.id
RETURNING d.id
""").bindparams(
    bindparam("project_id", type_=Uuid),
    bindparam("after", type_=Uuid),
    bindparam("first_kept", type_=Uuid),
    bindparam("live", type_=Uuid),
)

# Words that were replaced and that no delivery is known by any more.
DELETE_REVISIONS = text("""
WITH old AS MATERIALIZED (
  SELECT r.project_id, r.notification_id, r.revision
  FROM notification_revisions AS r
  JOIN notifications AS n ON n.project_id = r.project_id AND n.id = r.notification_id
  WHERE r.replaced_at < now() - make_interval(days => :days) AND n.clock = :live AND NOT EXISTS (
    SELECT 1 FROM deliveries AS d
    WHERE d.project_id = r.project_id AND d.notification_id = r.notification_id AND d.revision = r.revision
  )
  ORDER BY r.replaced_at
  LIMIT :batch
  FOR UPDATE OF r SKIP LOCKED
)
DELETE FROM notification_revisions AS r USING old
WHERE r.project_id = old.project_id AND r.notification_id = old.notification_id AND r.revision = old.revision
""").bindparams(bindparam("live", type_=Uuid))

# Exceptions whose slot has been planned, or that were taken back. A moved slot counts from where it went.
DELETE_EXCEPTIONS = text("""
WITH old AS MATERIALIZED (
  SELECT x.project_id, x.id
  FROM notification_exceptions AS x
  JOIN notifications AS n ON n.project_id = x.project_id AND n.id = x.notification_id
  WHERE x.slot_at < now() - make_interval(days => :days) AND (x.clock = :live OR x.id < :first_kept)
    AND (x.deleted_at < now() - make_interval(days => :days) OR (
      (n.next_due_at IS NULL OR n.next_due_at > x.slot_at)
      AND (x.move_to IS NULL
        OR (x.move_to < now() - make_interval(days => :days) AND x.planned_at IS NOT NULL))
    ))
    AND NOT EXISTS (
      SELECT 1 FROM deliveries AS d WHERE d.project_id = x.project_id AND d.exception_id = x.id
    )
  ORDER BY x.slot_at
  LIMIT :batch
  FOR UPDATE OF x SKIP LOCKED
)
DELETE FROM notification_exceptions AS x USING old WHERE x.project_id = old.project_id AND x.id = old.id
""").bindparams(bindparam("first_kept", type_=Uuid), bindparam("live", type_=Uuid))

# What was deleted and has no history left. Its revisions, exceptions and uses of destinations go with it.
DELETE_TOMBSTONES = text("""
WITH old AS MATERIALIZED (
  SELECT n.project_id, n.id
  FROM notifications AS n
  WHERE n.deleted_at IS NOT NULL
    AND CASE WHEN n.clock = :live THEN n.deleted_at < now() - make_interval(days => :days)
      ELSE n.id < :first_kept END
    AND NOT EXISTS (
      SELECT 1 FROM deliveries AS d WHERE d.project_id = n.project_id AND d.notification_id = n.id
    )
  ORDER BY n.deleted_at
  LIMIT :batch
  FOR UPDATE OF n SKIP LOCKED
)
DELETE FROM notifications AS n USING old WHERE n.project_id = old.project_id AND n.id = old.id
""").bindparams(bindparam("first_kept", type_=Uuid), bindparam("live", type_=Uuid))


@dataclass(frozen=True, slots=True)
class Limit:
    """What is older than `days`; `first_kept` is the least id that an id made since then can be."""

    days: int
    first_kept: UUID


async def projects(session: Session, limit: Limit) -> Sequence[UUID]:
    """Return the projects whose oldest delivery was made before the limit."""
    return (await session.execute(PROJECTS, {"first_kept": limit.first_kept})).scalars().all()


async def delete_deliveries(
    session: Session, project_id: UUID, limit: Limit, *, after: UUID, batch: int
) -> list[UUID]:
    """Delete up to `batch` old deliveries of a project, ids above `after`; return their ids, ascending."""
    parameters = {"project_id": project_id, "after": after, **_common(limit, batch)}
    return sorted((await session.execute(DELETE_DELIVERIES, parameters)).scalars())


async def delete_revisions(session: Session, limit: Limit, batch: int) -> int:
    """Delete up to `batch` replaced revisions that nothing needs; return how many."""
    return await _delete(session, DELETE_REVISIONS, limit, batch)


async def delete_exceptions(session: Session, limit: Limit, batch: int) -> int:
    """Delete up to `batch` exceptions of slots before the limit; return how many."""
    return await _delete(session, DELETE_EXCEPTIONS, limit, batch)


async def delete_tombstones(session: Session, limit: Limit, batch: int) -> int:
    """Delete up to `batch` notifications that were deleted before the limit; return how many."""
    return await _delete(session, DELETE_TOMBSTONES, limit, batch)


async def _delete(session: Session, statement: TextClause, limit: Limit, batch: int) -> int:
    return (await session.execute(statement, _common(limit, batch))).rowcount


def _common(limit: Limit, batch: int) -> dict[str, Any]:
    return {"days": limit.days, "first_kept": limit.first_kept, "live": LIVE, "batch": batch}
