"""`max_occurrences` counts slots when they are taken up; those for which nobody tried are given back here."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, DateTime, Integer, Row, Uuid, bindparam, text

from notifier.storage.engine import Session
from notifier.storage.lateness import TOO_LATE
from notifier.storage.stretches import WALKED, Stretch, walking

# As rescue.EXPIRE does for all others. The notification is locked too, so that of the deliveries of one
# slot, ended side by side, the last one is seen as such; both are passed over if somebody holds either.
EXPIRE = walking(f"""
WITH walked AS (
  SELECT project_id, id FROM {WALKED} AS walked WHERE status IN ('pending', 'retrying') AND {TOO_LATE}
), late AS MATERIALIZED (
  SELECT d.project_id, d.id
  FROM walked
  JOIN deliveries AS d ON d.project_id = walked.project_id AND d.id = walked.id
  JOIN notifications AS n ON n.project_id = d.project_id AND n.id = d.notification_id
  WHERE d.status IN ('pending', 'retrying') AND {TOO_LATE} AND n.schedule->>'max_occurrences' IS NOT NULL
  LIMIT :batch
  FOR UPDATE OF d, n SKIP LOCKED
)
UPDATE deliveries AS d
SET status = CASE WHEN attempts_made = 0 THEN 'missed' ELSE 'failed' END,
    reason = CASE WHEN attempts_made = 0 THEN 'grace_exceeded' ELSE 'next_slot_reached' END,
    finished_at = clock_now(), next_attempt_at = NULL
FROM late
WHERE d.project_id = late.project_id AND d.id = late.id
RETURNING d.project_id, d.notification_id, d.revision, d.scheduled_for, d.status, d.trigger
""")

# Only for slots of the schedule as it is now: another one began to count afresh.
GIVE_BACK = text("""
UPDATE notifications AS n SET slots_sent = n.slots_sent - gone.slots
FROM (
  SELECT s.project_id, s.id, count(*) AS slots
  FROM unnest(:project_ids, :ids, :revisions, :slots) AS s (project_id, id, revision, slot)
  JOIN notifications AS known ON known.project_id = s.project_id AND known.id = s.id
  WHERE NOT EXISTS (
    SELECT 1 FROM deliveries AS d
    WHERE d.project_id = s.project_id AND d.notification_id = s.id AND d.scheduled_for = s.slot
      AND d.trigger = 'schedule' AND d.status NOT IN ('missed', 'skipped', 'canceled')
  ) AND NOT EXISTS (
    SELECT 1 FROM notification_revisions AS r
    WHERE r.project_id = s.project_id AND r.notification_id = s.id AND r.revision >= s.revision
      AND r.schedule <> known.schedule
  )
  GROUP BY s.project_id, s.id
) AS gone
WHERE n.project_id = gone.project_id AND n.id = gone.id AND n.deleted_at IS NULL
RETURNING n.project_id, n.id, n.schedule::text AS schedule, n.anchor_at, n.last_slot_at, n.slots_sent,
  n.completed_at, gone.slots AS given_back
""").bindparams(
    bindparam("project_ids", type_=ARRAY(Uuid)),
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("revisions", type_=ARRAY(Integer)),
    bindparam("slots", type_=ARRAY(DateTime(timezone=True))),
)

REOPEN = text("""
UPDATE notifications SET next_due_at = :next_due_at, completed_at = NULL
WHERE project_id = :project_id AND id = :id
""")


async def expire(session: Session, stretch: Stretch, batch: int) -> Sequence[Row[Any]]:
    """End waiting deliveries of limited notifications for which it is too late, and return them."""
    return (await session.execute(EXPIRE, stretch.bounds(session) | {"batch": batch})).all()


async def give_back(session: Session, ended: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """Count no longer the slots of these deliveries for which nobody tried; return their notifications."""
    keys = {
        (row.project_id, row.notification_id, row.revision, row.scheduled_for)
        for row in ended
        if row.status == "missed" and row.trigger == "schedule"
    }
    if not keys:
        return []
    columns = zip(*keys, strict=True)
    parameters = dict(zip(("project_ids", "ids", "revisions", "slots"), map(list, columns), strict=True))
    return (await session.execute(GIVE_BACK, parameters)).all()


async def reopen(session: Session, row: Row[Any], next_due_at: datetime) -> None:
    """Have a completed notification go on."""
    parameters = {"project_id": row.project_id, "id": row.id, "next_due_at": next_due_at}
    await session.execute(REOPEN, parameters)
