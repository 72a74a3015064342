"""SQL of the rescuer: what is stuck, expired or was never rung for, in a stretch of what is due."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Integer, Row, Uuid, bindparam, text

from notifier.domain.delivery import MOST_UNKNOWN_IN_A_ROW
from notifier.storage.engine import Session
from notifier.storage.lateness import TOO_LATE
from notifier.storage.stretches import WALKED, Stretch, walking

RING_AGAIN_AFTER_SECONDS = 30
NEWEST = 10_000

# A worker died or froze with these in hand; nobody knows whether the message went out. It is sent again,
# unless the destination asks for a decision first.
BREAK_LEASES = walking(f"""
WITH stuck AS MATERIALIZED (
  SELECT d.project_id, d.id,
    CASE WHEN t.on_unknown = 'hold' THEN 'unknown'
      WHEN d.unknown_streak + 1 >= :most THEN 'failed' ELSE 'retrying' END AS becomes
  FROM {WALKED} AS walked
  JOIN deliveries AS d ON d.project_id = walked.project_id AND d.id = walked.id
  JOIN destinations AS t ON t.project_id = d.project_id AND t.id = d.destination_id
  WHERE walked.status = 'sending' AND walked.lease_expires_at <= clock_now()
    AND d.status = 'sending' AND d.lease_expires_at <= clock_now()
  ORDER BY d.next_attempt_at
  LIMIT :batch
  FOR UPDATE OF d SKIP LOCKED
), freed AS (
  UPDATE deliveries AS d
  SET status = becomes,
      reason = CASE WHEN becomes = 'failed' THEN 'poison' END,
      finished_at = CASE WHEN becomes = 'failed' THEN clock_now() END,
      next_attempt_at = CASE WHEN becomes = 'retrying'
        THEN clock_now() + make_interval(secs => 2 * unknown_streak) END,
      unknown_streak = unknown_streak + 1, enqueued_at = NULL, lease_token = NULL, lease_expires_at = NULL
  FROM stuck
  WHERE d.project_id = stuck.project_id AND d.id = stuck.id
  RETURNING d.project_id, d.id, d.attempts_made
), attempt AS (
  UPDATE attempts AS a
  SET outcome = 'unknown', error = 'the worker ended before the outcome was known',
      duration_ms = (extract(epoch FROM clock_now() - a.started_at) * 1000)::int
  FROM freed
  WHERE a.project_id = freed.project_id AND a.delivery_id = freed.id AND a.number = freed.attempts_made
)
SELECT project_id, id FROM freed
""")

# Too late: whoever never had a try missed it, the others failed. Where slots are counted, `occurrences` does
# the same.
EXPIRE = walking(f"""
WITH walked AS (
  SELECT project_id, id FROM {WALKED} AS walked WHERE status IN ('pending', 'retrying') AND {TOO_LATE}
), late AS MATERIALIZED (
  SELECT d.project_id, d.id
  FROM walked JOIN deliveries AS d ON d.project_id = walked.project_id AND d.id = walked.id
  WHERE d.status IN ('pending', 'retrying') AND {TOO_LATE} AND NOT EXISTS (
    SELECT 1 FROM notifications AS n
    WHERE n.project_id = d.project_id AND n.id = d.notification_id
      AND n.schedule->>'max_occurrences' IS NOT NULL
  )
  LIMIT :batch
  FOR UPDATE OF d SKIP LOCKED
)
UPDATE deliveries AS d
SET status = CASE WHEN attempts_made = 0 THEN 'missed' ELSE 'failed' END,
    reason = CASE WHEN attempts_made = 0 THEN 'grace_exceeded' ELSE 'next_slot_reached' END,
    finished_at = clock_now(), next_attempt_at = NULL
FROM late
WHERE d.project_id = late.project_id AND d.id = late.id
RETURNING d.project_id, d.id
""")

# What was not found, or began to wait in the very moment, in which its destination was blocked or either end
# was deleted; no worker claims it. Such rows have been rung for in vain.
SETTLE = walking(f"""
WITH walked AS MATERIALIZED (
  SELECT walked.project_id, walked.id, n.deleted_at AS gone, t.deleted_at AS target_gone
  FROM {WALKED} AS walked
  LEFT JOIN destinations AS t ON t.project_id = walked.project_id AND t.id = walked.destination_id
    AND (t.deleted_at IS NOT NULL OR t.blocked_at IS NOT NULL)
  LEFT JOIN notifications AS n ON n.project_id = walked.project_id AND n.id = walked.notification_id
    AND n.deleted_at IS NOT NULL
  WHERE walked.status IN ('pending', 'retrying') AND (t.id IS NOT NULL OR n.id IS NOT NULL)
), vain AS MATERIALIZED (
  SELECT d.project_id, d.id, walked.gone, walked.target_gone
  FROM walked JOIN deliveries AS d ON d.project_id = walked.project_id AND d.id = walked.id
  WHERE d.status IN ('pending', 'retrying')
  LIMIT :batch
  FOR UPDATE OF d SKIP LOCKED
)
UPDATE deliveries AS d
SET status = CASE WHEN gone IS NULL AND target_gone IS NULL THEN 'held' ELSE 'canceled' END,
    reason = CASE WHEN gone IS NOT NULL THEN 'notification_deleted'
      WHEN target_gone IS NOT NULL THEN 'destination_deleted' END,
    finished_at = CASE WHEN gone IS NOT NULL OR target_gone IS NOT NULL THEN clock_now() END,
    next_attempt_at = NULL, enqueued_at = NULL
FROM vain
WHERE d.project_id = vain.project_id AND d.id = vain.id
RETURNING d.id
""")

# The stretch, and beyond it what has come due just now: retries are first rung for here, and are not to wait
# until the walk has come round to them.
UNRUNG = walking(f"""
SELECT project_id, id, enqueue_seq, enqueued_at IS NULL AS silent, next_attempt_at
FROM {WALKED} AS walked
WHERE status IN ('pending', 'retrying')
  AND (enqueued_at IS NULL OR enqueued_at < clock_now() - make_interval(secs => :patience))
UNION
SELECT project_id, id, enqueue_seq, true, next_attempt_at
FROM (
  SELECT project_id, id, enqueue_seq, enqueued_at, status, next_attempt_at
  FROM deliveries WHERE clock = :clock AND next_attempt_at <= clock_now()
  ORDER BY next_attempt_at DESC, id DESC LIMIT :newest
) AS newest
WHERE status IN ('pending', 'retrying') AND enqueued_at IS NULL
ORDER BY next_attempt_at, id
""")

# Another rescuer may have counted the same ring meanwhile: the sequence number decides who rings.
COUNT_RING = text("""
UPDATE deliveries AS d SET enqueue_seq = d.enqueue_seq + 1, enqueued_at = clock_now()
FROM unnest(:project_ids, :ids, :seqs) AS rung (project_id, id, seq)
WHERE d.project_id = rung.project_id AND d.id = rung.id AND d.enqueue_seq = rung.seq
  AND d.status IN ('pending', 'retrying')
RETURNING d.project_id, d.id, d.enqueue_seq
""").bindparams(
    bindparam("project_ids", type_=ARRAY(Uuid)),
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("seqs", type_=ARRAY(Integer)),
)

FORGET_ANSWERS = text("DELETE FROM idempotency_keys WHERE created_at < now() - interval '24 hours'")


async def break_leases(session: Session, stretch: Stretch, batch: int) -> int:
    """Free deliveries whose lease ran out; return how many. Three unknown attempts in a row are the end."""
    parameters = stretch.bounds(session) | {"batch": batch, "most": MOST_UNKNOWN_IN_A_ROW}
    return len((await session.execute(BREAK_LEASES, parameters)).all())


async def expire(session: Session, stretch: Stretch, batch: int) -> int:
    """End waiting deliveries for which it is too late; return how many."""
    return len((await session.execute(EXPIRE, stretch.bounds(session) | {"batch": batch})).all())


async def settle(session: Session, stretch: Stretch, batch: int) -> int:
    """Hold what waits for a blocked destination, cancel what waits for something deleted; return how many."""
    return len((await session.execute(SETTLE, stretch.bounds(session) | {"batch": batch})).all())


async def unrung(session: Session, stretch: Stretch) -> Sequence[Row[Any]]:
    """Return due deliveries without a fresh ring, the longest due first; `silent` ones have no job.

    They are of the stretch, or have come due just now.
    """
    parameters = stretch.bounds(session) | {"patience": RING_AGAIN_AFTER_SECONDS, "newest": NEWEST}
    return (await session.execute(UNRUNG, parameters)).all()


async def count_ring(session: Session, rows: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """Count a new ring for `rows` of `unrung`; return those that are still waiting, with their new number."""
    parameters = {
        "project_ids": [row.project_id for row in rows],
        "ids": [row.id for row in rows],
        "seqs": [row.enqueue_seq for row in rows],
    }
    return (await session.execute(COUNT_RING, parameters)).all()


async def forget_answers(session: Session) -> None:
    """Drop stored answers of Idempotency-Keys after a day."""
    await session.execute(FORGET_ANSWERS)
