"""SQL of the deliverer: claim a delivery under a lease, and write the outcome behind a fence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Boolean, Float, Integer, Row, Text, TextClause, Uuid, bindparam, text
from sqlalchemy.types import TypeEngine

from notifier.domain.delivery import Outcome
from notifier.domain.retry import Verdict
from notifier.storage.arrays import unnest
from notifier.storage.engine import Session
from notifier.storage.health import FEEL

# 1. take the rows that nobody else has; 2. write the attempts; 3. return all that the sends need. The rows
# are locked in one order, so that two workers never wait for each other in a circle; and waited for, because
# a job that passed over a row that is locked for a moment would be gone. They are found by their keys before
# anything is joined, or each would meet all destinations of its project.
CLAIM = text(f"""
WITH wanted AS MATERIALIZED (
  SELECT d.*, w.token
  FROM (
    SELECT * FROM {unnest(("project_ids", "ids", "tokens"))} AS w (project_id, id, token)
    ORDER BY project_id, id
  ) AS w CROSS JOIN LATERAL (
    SELECT project_id, id, notification_id, revision, destination_id, exception_id, event
    FROM deliveries AS d
    WHERE d.project_id = w.project_id AND d.id = w.id
      AND d.clock = :clock AND d.status IN ('pending', 'retrying')
      AND d.next_attempt_at <= clock_now() AND (d.expires_at IS NULL OR clock_now() < d.expires_at)
    LIMIT 1
    FOR UPDATE
  ) AS d
), ready AS MATERIALIZED (
  SELECT wanted.project_id, wanted.id, wanted.token,
    coalesce(x.title, r.title) AS title, coalesce(x.body, r.body) AS body, r.data, r.schedule,
    n.external_id, n.title AS newest_title,
    t.kind, t.name AS destination_name, t.config, t.sealed_config, t.secrets, t.retry_schedule, t.on_unknown
  FROM wanted
  JOIN destinations AS t ON t.project_id = wanted.project_id AND t.id = wanted.destination_id
  LEFT JOIN notifications AS n ON n.project_id = wanted.project_id
    AND n.id = coalesce(wanted.notification_id, (wanted.event->'data'->>'notification_id')::uuid)
  LEFT JOIN notification_revisions AS r ON r.project_id = wanted.project_id
    AND r.notification_id = wanted.notification_id AND r.revision = wanted.revision
  LEFT JOIN notification_exceptions AS x ON x.project_id = wanted.project_id AND x.id = wanted.exception_id
  WHERE t.deleted_at IS NULL AND t.blocked_at IS NULL
    AND (wanted.notification_id IS NULL OR n.deleted_at IS NULL)
), claimed AS (
  UPDATE deliveries AS d
  SET status = 'sending', attempts_made = attempts_made + 1,
      lease_token = ready.token, lease_expires_at = clock_now() + make_interval(secs => :lease),
      first_attempt_at = coalesce(first_attempt_at, clock_now()),
      watched = d.project_id IN (
        SELECT s.project_id FROM event_subscriptions AS s WHERE 'delivery.delivered' = ANY (s.types)
      )
  FROM ready
  WHERE d.project_id = ready.project_id AND d.id = ready.id
  RETURNING
    d.project_id, d.id, d.notification_id, d.destination_id, d.trigger, d.scheduled_for, d.expires_at,
    d.message_id, d.attempts_made, d.lease_token, d.first_attempt_at, clock_now() AS claimed_at, d.event,
    ready.title, ready.body, ready.data, ready.schedule::text AS schedule, ready.external_id,
    ready.newest_title, ready.kind, ready.destination_name, ready.config, ready.sealed_config,
    ready.secrets, ready.retry_schedule, ready.on_unknown
), attempt AS (
  INSERT INTO attempts (project_id, delivery_id, number, started_at)
  SELECT project_id, id, attempts_made, claimed_at FROM claimed
)
SELECT * FROM claimed
""").bindparams(
    bindparam("project_ids", type_=ARRAY(Uuid)),
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("tokens", type_=ARRAY(Uuid)),
)

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


OUTCOME_COLUMNS: dict[str, type[TypeEngine[Any]]] = {
    "project_ids": Uuid,
    "ids": Uuid,
    "tokens": Uuid,
    "numbers": Integer,
    "outcomes": Text,
    "status_codes": Integer,
    "errors": Text,
    "durations": Integer,
    "statuses": Text,
    "reasons": Text,
    "waits": Float,
    "ours": Boolean,
}


def _outcomes(fence: str) -> TextClause:
    """Return the statement that writes many outcomes to rows that pass the fence, and answers with their ids.

    1. the deliveries; 2. their attempts; 3. the notifications of those that were delivered, locked in one
    order, so that two workers never wait for each other in a circle; 4. their destinations, likewise.
    """
    statement = text(f"""
WITH given AS (
  SELECT * FROM {unnest(OUTCOME_COLUMNS)} AS given (
    project_id, id, token, number, outcome, status_code, error, duration_ms, verdict, verdict_reason,
    wait, ours)
), ended AS MATERIALIZED (
  SELECT given.*, CASE WHEN verdict = 'retrying' THEN (
    SELECT {FORBIDS_RETRY}
    FROM deliveries AS d
    JOIN destinations AS t ON t.project_id = d.project_id AND t.id = d.destination_id
    LEFT JOIN notifications AS n ON n.project_id = d.project_id AND n.id = d.notification_id
    WHERE d.project_id = given.project_id AND d.id = given.id
  ) END AS instead
  FROM given
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
  RETURNING d.project_id, d.id, d.notification_id, d.revision, d.trigger, d.scheduled_for, d.status,
    d.finished_at, d.destination_id, ended.number, ended.outcome, ended.status_code, ended.error,
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
SELECT id FROM done
""")
    return statement.bindparams(*(bindparam(name, type_=ARRAY(of)) for name, of in OUTCOME_COLUMNS.items()))


FINISH = _outcomes("d.status = 'sending' AND d.lease_token = ended.token")

# The lease was lost while the message went out: better to take the success than to send again.
ABSORB = _outcomes("d.status IN ('pending', 'retrying', 'held', 'unknown')")

# A process that was frozen hands its claim back as if it had never been.
GIVE_BACK = text("""
WITH back AS (
  UPDATE deliveries
  SET status = CASE WHEN attempts_made > 1 THEN 'retrying' ELSE 'pending' END,
      first_attempt_at = CASE WHEN attempts_made > 1 THEN first_attempt_at END,
      attempts_made = attempts_made - 1, enqueued_at = NULL,
      next_attempt_at = clock_now() + make_interval(secs => :wait),
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
), held AS (
  UPDATE deliveries AS d SET status = 'held', next_attempt_at = NULL, enqueued_at = NULL
  FROM blocked
  WHERE d.project_id = blocked.project_id AND d.destination_id = blocked.id
    AND d.status IN ('pending', 'retrying')
)
SELECT id FROM blocked
""")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A delivery to be claimed; `token` is what the claim will be known by."""

    project_id: UUID
    delivery_id: UUID
    token: UUID


@dataclass(frozen=True, slots=True)
class Finished:
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


async def claim(session: Session, wanted: Sequence[Wanted], lease: float) -> dict[UUID, Row[Any]]:
    """Take deliveries for one attempt each and `lease` seconds; return the taken ones by id.

    Left out are those that are not due, expired, taken by another, or ended.
    """
    parameters = {
        "project_ids": [one.project_id for one in wanted],
        "ids": [one.delivery_id for one in wanted],
        "tokens": [one.token for one in wanted],
        "clock": session.clock.id,
        "lease": lease,
    }
    return {row.id: row for row in await session.execute(CLAIM, parameters)}


async def finish(session: Session, finished: Sequence[Finished]) -> set[UUID]:
    """Write outcomes whose lease is still held; return the ids of those deliveries."""
    return set((await session.execute(FINISH, _outcome_columns(finished))).scalars())


async def absorb(session: Session, finished: Sequence[Finished]) -> set[UUID]:
    """Write successes whose lease was lost, unless another worker has begun; return which it could."""
    return set((await session.execute(ABSORB, _outcome_columns(finished))).scalars())


def _outcome_columns(finished: Sequence[Finished]) -> dict[str, list[Any]]:
    """Return the parameters of FINISH and ABSORB."""
    waits = [one.verdict.wait for one in finished]
    return {
        "project_ids": [one.project_id for one in finished],
        "ids": [one.delivery_id for one in finished],
        "tokens": [one.token for one in finished],
        "numbers": [one.number for one in finished],
        "outcomes": [one.outcome.result for one in finished],
        "status_codes": [one.outcome.status_code for one in finished],
        "errors": [_storable(one.outcome.error) for one in finished],
        "durations": [one.duration_ms for one in finished],
        "statuses": [one.verdict.status for one in finished],
        "reasons": [one.verdict.reason for one in finished],
        "waits": [wait.total_seconds() if wait else None for wait in waits],
        "ours": [one.outcome.ours for one in finished],
    }


async def give_back(
    session: Session, project_id: UUID, delivery_id: UUID, token: UUID, wait: float = 0
) -> None:
    """Undo a claim from which nothing was sent; the delivery is due again in `wait` seconds."""
    parameters = {"project_id": project_id, "id": delivery_id, "token": token, "wait": wait}
    await session.execute(GIVE_BACK, parameters)


async def block_destination(session: Session, project_id: UUID, destination_id: UUID, reason: str) -> bool:
    """Stop sending to a destination, and hold what waits for it; return whether it was not blocked before."""
    parameters = {"project_id": project_id, "id": destination_id, "reason": reason}
    return (await session.execute(BLOCK_DESTINATION, parameters)).first() is not None
