"""SQL of the deliverer: claim a delivery under a lease, and write the outcome behind a fence."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Float, Integer, Row, Text, TextClause, bindparam, text

from notifier.domain.delivery import Outcome
from notifier.domain.retry import Verdict
from notifier.storage.engine import Session

# 1. take the row, unless somebody else has; 2. write the attempt; 3. read all that the send needs.
CLAIM = text("""
WITH claimed AS (
  UPDATE deliveries
  SET status = 'sending', attempts_made = attempts_made + 1, next_attempt_at = NULL,
      lease_token = :token, lease_expires_at = clock_now() + make_interval(secs => :lease),
      first_attempt_at = coalesce(first_attempt_at, clock_now())
  WHERE project_id = :project_id AND id = :id AND clock = :clock AND status IN ('pending', 'retrying')
    AND next_attempt_at <= clock_now() AND (expires_at IS NULL OR clock_now() < expires_at)
  RETURNING *
), attempt AS (
  INSERT INTO attempts (project_id, delivery_id, number, started_at)
  SELECT project_id, id, attempts_made, clock_now() FROM claimed
)
SELECT
  claimed.project_id, claimed.id, claimed.notification_id, claimed.destination_id, claimed.trigger,
  claimed.scheduled_for, claimed.expires_at, claimed.message_id, claimed.attempts_made,
  claimed.lease_token, claimed.first_attempt_at, clock_now() AS claimed_at,
  coalesce(x.title, r.title) AS title, coalesce(x.body, r.body) AS body, r.data, r.schedule::text AS schedule,
  n.external_id,
  d.kind, d.name AS destination_name, d.config, d.sealed_config, d.secrets
FROM claimed
JOIN destinations AS d ON d.project_id = claimed.project_id AND d.id = claimed.destination_id
LEFT JOIN notifications AS n ON n.project_id = claimed.project_id AND n.id = claimed.notification_id
LEFT JOIN notification_revisions AS r ON r.project_id = claimed.project_id
  AND r.notification_id = claimed.notification_id AND r.revision = claimed.revision
LEFT JOIN notification_exceptions AS x ON x.project_id = claimed.project_id AND x.id = claimed.exception_id
""")

RECORD_ATTEMPT = """
attempt AS (
  UPDATE attempts AS a
  SET outcome = :outcome, status_code = :status_code, error = :error, duration_ms = :duration_ms
  FROM done
  WHERE a.project_id = done.project_id AND a.delivery_id = done.id AND a.number = :number
)"""

# A scheduled delivery that succeeded moves the clock of an interval that drifts, unless a newer slot was
# planned since, or the schedule is another by now. All this reads the locked row, so of two destinations
# the later one counts; `greatest`, because the later one may be the first to write.
MOVES = """done.trigger = 'schedule' AND n.drift_seconds IS NOT NULL AND n.next_due_at IS NOT NULL
  AND n.last_slot_at = done.scheduled_for AND n.schedule = (
    SELECT r.schedule FROM notification_revisions AS r
    WHERE r.project_id = done.project_id AND r.notification_id = done.notification_id
      AND r.revision = done.revision
  )"""
NEXT_DUE = """greatest(n.anchor_at, done.finished_at) + make_interval(secs => n.drift_seconds)"""
END = "(n.schedule->>'end_at')::timestamptz"
MOVE_CLOCK = f"""
clock AS (
  UPDATE notifications AS n
  SET last_delivered_at = greatest(n.last_delivered_at, done.finished_at),
      anchor_at = CASE WHEN {MOVES} THEN greatest(n.anchor_at, done.finished_at) ELSE n.anchor_at END,
      next_due_at = CASE WHEN {MOVES}
        THEN CASE WHEN {END} IS NULL OR {NEXT_DUE} <= {END} THEN {NEXT_DUE} END ELSE n.next_due_at END,
      completed_at = CASE WHEN {MOVES} AND {NEXT_DUE} > {END} THEN clock_now() ELSE n.completed_at END
  FROM done
  WHERE done.status = 'delivered' AND n.project_id = done.project_id AND n.id = done.notification_id
)"""

WRITE_OUTCOME = """
UPDATE deliveries
SET status = :status, reason = :reason, unknown_streak = 0,
    next_attempt_at = clock_now() + make_interval(secs => :wait), enqueued_at = NULL,
    finished_at = CASE WHEN :wait IS NULL THEN clock_now() END,
    lease_token = NULL, lease_expires_at = NULL
"""


def _outcome_statement(sql: str) -> TextClause:
    """Return the statement with its parameters typed, for PostgreSQL cannot tell the type of a NULL."""
    types = {"wait": Float, "status": Text, "reason": Text, "outcome": Text, "error": Text}
    types |= {"status_code": Integer, "duration_ms": Integer, "number": Integer}
    return text(sql).bindparams(*(bindparam(name, type_=of) for name, of in types.items()))


FINISH = _outcome_statement(f"""
WITH done AS (
  {WRITE_OUTCOME}
  WHERE project_id = :project_id AND id = :id AND status = 'sending' AND lease_token = :token
  RETURNING *
), {RECORD_ATTEMPT}, {MOVE_CLOCK}
SELECT count(*) FROM done
""")

# The lease was lost while the message went out: better to take the success than to send again.
ABSORB = _outcome_statement(f"""
WITH done AS (
  {WRITE_OUTCOME}
  WHERE project_id = :project_id AND id = :id AND status IN ('pending', 'retrying')
  RETURNING *
), {RECORD_ATTEMPT}, {MOVE_CLOCK}
SELECT count(*) FROM done
""")

# A process that was frozen hands its claim back as if it had never been.
GIVE_BACK = text("""
WITH back AS (
  UPDATE deliveries
  SET status = CASE WHEN attempts_made > 1 THEN 'retrying' ELSE 'pending' END,
      first_attempt_at = CASE WHEN attempts_made > 1 THEN first_attempt_at END,
      attempts_made = attempts_made - 1, next_attempt_at = clock_now(), enqueued_at = NULL,
      lease_token = NULL, lease_expires_at = NULL
  WHERE project_id = :project_id AND id = :id AND status = 'sending' AND lease_token = :token
  RETURNING project_id, id, attempts_made
)
DELETE FROM attempts AS a USING back
WHERE a.project_id = back.project_id AND a.delivery_id = back.id AND a.number = back.attempts_made + 1
""")

# What waits for it is held, as what is planned from now on will be.
BLOCK_DESTINATION = text("""
WITH blocked AS (
  UPDATE destinations
  SET blocked_at = clock_now(), blocked_reason = :reason, revision = revision + 1, updated_at = clock_now()
  WHERE project_id = :project_id AND id = :id AND blocked_at IS NULL
  RETURNING project_id, id
)
UPDATE deliveries AS d SET status = 'held', next_attempt_at = NULL, enqueued_at = NULL
FROM blocked
WHERE d.project_id = blocked.project_id AND d.destination_id = blocked.id
  AND d.status IN ('pending', 'retrying')
""")


@dataclass(frozen=True, slots=True)
class Finished:
    """How one attempt ended, ready to be written."""

    project_id: UUID
    delivery_id: UUID
    token: UUID
    number: int
    outcome: Outcome
    verdict: Verdict
    duration_ms: int

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of FINISH and ABSORB."""
        wait = self.verdict.wait
        return {
            "project_id": self.project_id,
            "id": self.delivery_id,
            "token": self.token,
            "number": self.number,
            "outcome": self.outcome.result,
            "status_code": self.outcome.status_code,
            "error": _storable(self.outcome.error),
            "duration_ms": self.duration_ms,
            "status": self.verdict.status,
            "reason": self.verdict.reason,
            "wait": wait.total_seconds() if wait else None,
        }


def _storable(error: str | None) -> str | None:
    """Return the text as PostgreSQL can hold it: a receiver's odd bytes must not cost the outcome."""
    return error and error.encode("utf-8", "replace").decode().replace("\x00", "")


async def claim(
    session: Session, project_id: UUID, delivery_id: UUID, token: UUID, lease: float
) -> Row[Any] | None:
    """Take the delivery for one attempt and `lease` seconds; None: not due, expired, taken, or ended."""
    parameters = {
        "project_id": project_id,
        "id": delivery_id,
        "clock": session.clock.id,
        "token": token,
        "lease": lease,
    }
    return (await session.execute(CLAIM, parameters)).one_or_none()


async def finish(session: Session, finished: Finished) -> bool:
    """Write the outcome if the lease is still ours; return whether it was."""
    return bool((await session.execute(FINISH, finished.parameters())).scalar_one())


async def absorb(session: Session, finished: Finished) -> bool:
    """Write a success whose lease was lost, unless another worker has begun; return whether it could."""
    parameters = finished.parameters()
    del parameters["token"]
    return bool((await session.execute(ABSORB, parameters)).scalar_one())


async def give_back(session: Session, project_id: UUID, delivery_id: UUID, token: UUID) -> None:
    """Undo a claim from which nothing was sent."""
    await session.execute(GIVE_BACK, {"project_id": project_id, "id": delivery_id, "token": token})


async def block_destination(session: Session, project_id: UUID, destination_id: UUID, reason: str) -> None:
    """Stop sending to a destination that said it is gone for good."""
    parameters = {"project_id": project_id, "id": destination_id, "reason": reason}
    await session.execute(BLOCK_DESTINATION, parameters)
