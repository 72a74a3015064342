"""SQL of the deliverer: write how attempts ended, behind the fence of their leases."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Boolean, Float, Integer, Text, TextClause, Uuid, text

from notifier.domain.delivery import Outcome
from notifier.domain.retry import Verdict
from notifier.storage.arrays import Given
from notifier.storage.engine import Session
from notifier.storage.health import FEEL

# A scheduled delivery that succeeded moves the clock of an interval that drifts, unless a newer slot was
# planned since, or the schedule is another by now. All this reads the locked row, so of two destinations
# the later one counts; `greatest`, because the later one may be the first to write.
MOVES = """won.trigger = 'schedule' AND n.drift_seconds IS NOT NULL AND n.next_due_at IS NOT NULL
  AND n.last_slot_at = won.scheduled_for AND (n.revision = won.revision OR n.schedule = (
    SELECT r.schedule FROM notification_revisions AS r WHERE r.project_id = won.project_id
      AND r.notification_id = won.notification_id AND r.revision = won.revision
  ))"""
NEXT_DUE = """greatest(n.anchor_at, won.finished_at) + make_interval(secs => n.drift_seconds)"""
END = "(n.schedule->>'end_at')::timestamptz"


FORBIDS_RETRY = """CASE WHEN n.deleted_at IS NOT NULL THEN 'notification_deleted'
    WHEN t.deleted_at IS NOT NULL THEN 'destination_deleted'
    WHEN t.blocked_at IS NOT NULL THEN 'blocked' END"""
"""Why a delivery is not tried again, though its outcome would allow it: things changed while it was sent."""


GIVEN = Given(
    own={"place": Integer, "project_id": Uuid, "id": Uuid, "token": Uuid, "duration_ms": Integer},
    shared={
        "number": Integer,
        "outcome": Text,
        "status_code": Integer,
        "error": Text,
        "verdict": Text,
        "verdict_reason": Text,
        "wait": Float,
        "ours": Boolean,
    },
)


def _outcomes(fence: str) -> TextClause:
    """Return the statement that writes many outcomes to rows that pass the fence, and says which these are.

    1. the deliveries; 2. their attempts; 3. the notifications of those that were delivered, locked in one
    order, so that two workers never wait for each other in a circle; 4. their destinations, likewise.
    """
    statement = text(f"""
WITH ended AS MATERIALIZED (
  SELECT given.*, CASE WHEN verdict = 'retrying' THEN (
    SELECT {FORBIDS_RETRY}
    FROM deliveries AS d
    JOIN destinations AS t ON t.project_id = d.project_id AND t.id = d.destination_id
    LEFT JOIN notifications AS n ON n.project_id = d.project_id AND n.id = d.notification_id
    WHERE d.project_id = given.project_id AND d.id = given.id
  ) END AS instead
  FROM {GIVEN.sql} AS given
), done AS (
  UPDATE deliveries AS d
  SET status = CASE WHEN instead IS NULL THEN verdict
        WHEN instead = 'blocked' THEN 'held' ELSE 'canceled' END,
      reason = CASE WHEN instead IS NULL THEN verdict_reason ELSE nullif(instead, 'blocked') END,
      unknown_streak = 0, enqueued_at = NULL,
      next_attempt_at = CASE WHEN instead IS NULL THEN clock_now() + make_interval(secs => ended.wait) END,
      finished_at = CASE WHEN verdict <> 'unknown' AND (ended.wait IS NULL OR instead <> 'blocked')
        THEN clock_now() END,
      lease_token = NULL, lease_expires_at = NULL
  FROM ended
  WHERE d.project_id = ended.project_id AND d.id = ended.id AND {fence}
  RETURNING ended.place, d.project_id, d.id, d.notification_id, d.revision, d.trigger, d.scheduled_for,
    d.status, d.finished_at, d.destination_id, ended.number, ended.outcome, ended.status_code, ended.error,
    ended.duration_ms, ended.verdict_reason, ended.ours
), attempt AS (
  UPDATE attempts AS a
  SET outcome = done.outcome, status_code = done.status_code, error = done.error,
      duration_ms = done.duration_ms
  FROM done
  WHERE a.project_id = done.project_id AND a.delivery_id = done.id AND a.number = done.number
), arrived AS (
  SELECT DISTINCT ON (project_id, notification_id)
    project_id, notification_id, revision, trigger, scheduled_for, finished_at
  FROM done
  WHERE status = 'delivered' AND notification_id IS NOT NULL
  ORDER BY project_id, notification_id, trigger = 'schedule' DESC, scheduled_for DESC
), won AS MATERIALIZED (
  SELECT arrived.*
  FROM arrived
  JOIN notifications AS n ON n.project_id = arrived.project_id AND n.id = arrived.notification_id
  ORDER BY n.project_id, n.id
  FOR NO KEY UPDATE OF n
), clock AS (
  UPDATE notifications AS n
  SET last_delivered_at = greatest(n.last_delivered_at, won.finished_at),
      anchor_at = CASE WHEN {MOVES} THEN greatest(n.anchor_at, won.finished_at) ELSE n.anchor_at END,
      next_due_at = CASE WHEN {MOVES}
        THEN CASE WHEN {END} IS NULL OR {NEXT_DUE} <= {END} THEN {NEXT_DUE} END ELSE n.next_due_at END,
      completed_at = CASE WHEN {MOVES} AND {NEXT_DUE} > {END} THEN clock_now() ELSE n.completed_at END
  FROM won
  WHERE n.project_id = won.project_id AND n.id = won.notification_id
), {FEEL}
SELECT place FROM done
""")
    return GIVEN.bind(statement)


FINISH = _outcomes("d.status = 'sending' AND d.lease_token = ended.token")

# The lease was lost while the message went out: better to take the success than to send again, and to tell
# the truth where the row was given up meanwhile because of it.
ABSORB = _outcomes("""(
    d.status IN ('pending', 'retrying', 'held', 'unknown')
    OR d.status = 'failed' AND d.reason IN ('poison', 'next_slot_reached') AND EXISTS (
      SELECT 1 FROM attempts AS a WHERE a.project_id = d.project_id AND a.delivery_id = d.id
        AND a.number = ended.number AND a.outcome = 'unknown'
    )
  )""")


class Finished(NamedTuple):
    """How one attempt ended, ready to be written."""

    project_id: UUID
    delivery_id: UUID
    destination_id: UUID
    token: UUID
    number: int
    outcome: Outcome
    verdict: Verdict
    duration_ms: int


def _storable(error: str | None) -> str | None:
    """Return the text as PostgreSQL can hold it: a receiver's odd bytes must not cost the outcome."""
    return error and error.encode("utf-8", "replace").decode().replace("\x00", "")


async def finish(session: Session, finished: Sequence[Finished]) -> list[bool]:
    """Write outcomes whose lease is still held; return for each whether it was."""
    return await _write(session, FINISH, finished)


async def absorb(session: Session, finished: Sequence[Finished]) -> list[bool]:
    """Write successes whose lease was lost, unless another worker has begun; return the same."""
    return await _write(session, ABSORB, finished)


async def _write(session: Session, statement: TextClause, finished: Sequence[Finished]) -> list[bool]:
    parameters = GIVEN.parameters([(place, *_row(*one)) for place, one in enumerate(finished)])
    written = [False] * len(finished)
    for place in (await session.execute(statement, parameters)).scalars():
        written[place] = True
    return written


def _row(
    project_id: UUID,
    delivery_id: UUID,
    _destination_id: UUID,
    token: UUID,
    number: int,
    outcome: Outcome,
    verdict: Verdict,
    duration_ms: int,
) -> tuple[Any, ...]:
    """Return an outcome as `GIVEN` has it, behind its place."""
    result, status_code, error, _, _, ours = outcome
    status, reason, wait = verdict
    seconds = wait.total_seconds() if wait else None
    how = (result, status_code, _storable(error), status, reason, seconds, ours)
    return project_id, delivery_id, token, duration_ms, number, *how
