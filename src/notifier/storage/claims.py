"""SQL of the deliverer: claim a delivery under a lease, and give it back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Boolean, Uuid, bindparam, text

from notifier.domain.delivery import MOST_UNKNOWN_IN_A_ROW
from notifier.storage import waiting
from notifier.storage.arrays import unnest
from notifier.storage.engine import Session
from notifier.storage.known_destinations import Destination, Key, KnownDestinations
from notifier.storage.lateness import TOO_LATE


class Claim(NamedTuple):
    """A delivery under a lease, with all that sending it needs.

    `title`, `body`, `data` and `schedule` are those of the revision that it pins; where it pins none,
    `newest_title` is today's. A test message and an event have no notification. Instants are UTC.
    """

    project_id: UUID
    id: UUID
    notification_id: UUID | None
    destination_id: UUID
    trigger: str
    scheduled_for: datetime
    expires_at: datetime | None
    message_id: str
    attempts_made: int
    first_attempt_at: datetime
    claimed_at: datetime
    event: dict[str, Any] | None
    title: str
    body: str
    data: dict[str, Any]
    schedule: str
    external_id: str | None
    newest_title: str | None
    lease_token: UUID
    destination: Destination


READ = Claim._fields[2:-2]
"""What the statement returns, after the place among those asked for. The rest is known, and so are most
destinations: it tells their version."""

DUE = (
    f"""d.status IN ('pending', 'retrying') AND d.next_attempt_at <= clock_now() AND {TOO_LATE} IS NOT TRUE"""
)
SUSPECT = f"d.unknown_streak >= {MOST_UNKNOWN_IN_A_ROW - 1}"
"""It has come to its last chance: if one more worker ends with it in hand, it is given up."""

# 1. take the rows that nobody else has; 2. write the attempts; 3. return all that the sends need. The rows
# are locked in one order, so that two workers never wait for each other in a circle; and waited for, because
# a job that passed over a row that is locked for a moment would be gone. They are found by their keys before
# anything is joined, or each would meet all destinations of its project. Who asks again with its token,
# because the answer was lost, has the same claim.
CLAIM = text(f"""
WITH wanted AS MATERIALIZED (
  SELECT d.*
  FROM (
    SELECT * FROM {unnest(("project_ids", "ids"))} WITH ORDINALITY AS w (project_id, id, nth)
    ORDER BY project_id, id
  ) AS w CROSS JOIN LATERAL (
    SELECT w.nth, project_id, id, notification_id, revision, destination_id, exception_id, event,
      d.status = 'sending' AS again
    FROM deliveries AS d
    WHERE d.project_id = w.project_id AND d.id = w.id AND d.clock = :clock AND (
      {DUE} AND (:alone OR NOT {SUSPECT}) OR d.lease_token = :token
    )
    LIMIT 1
    FOR UPDATE
  ) AS d
), ready AS MATERIALIZED (
  SELECT wanted.nth, wanted.project_id, wanted.id, wanted.again,
    coalesce(x.title, r.title) AS title, coalesce(x.body, r.body) AS body, r.data, r.schedule,
    n.external_id, CASE WHEN r.title IS NULL THEN n.title END AS newest_title,
    t.xmin::text AS destination_version
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
  SET status = 'sending', attempts_made = attempts_made + CASE WHEN again THEN 0 ELSE 1 END,
      lease_token = :token, lease_expires_at = clock_now() + make_interval(secs => :lease),
      first_attempt_at = coalesce(first_attempt_at, clock_now()),
      watched = d.project_id IN (
        SELECT s.project_id FROM event_subscriptions AS s WHERE 'delivery.delivered' = ANY (s.types)
      )
  FROM ready
  WHERE d.project_id = ready.project_id AND d.id = ready.id
  RETURNING
    ready.nth, d.project_id, d.id, d.notification_id, d.destination_id, d.trigger, d.scheduled_for,
    d.expires_at, d.message_id, d.attempts_made, d.first_attempt_at, clock_now() AS claimed_at, d.event,
    ready.title, ready.body, ready.data, ready.schedule::text AS schedule, ready.external_id,
    ready.newest_title, ready.destination_version, ready.again
), attempt AS (
  INSERT INTO attempts (project_id, delivery_id, number, started_at)
  SELECT project_id, id, attempts_made, claimed_at FROM claimed WHERE NOT again
)
SELECT nth, {", ".join(READ)}, destination_version FROM claimed
""").bindparams(
    bindparam("project_ids", type_=ARRAY(Uuid)),
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("token", type_=Uuid),
    bindparam("alone", type_=Boolean),
)

# They are found by their keys first, or each would be looked for among all that is due.
SUSPECTS = text(f"""
WITH d AS MATERIALIZED (
  SELECT w.nth, d.*
  FROM {unnest(("project_ids", "ids"))} WITH ORDINALITY AS w (project_id, id, nth)
  JOIN deliveries AS d ON d.project_id = w.project_id AND d.id = w.id
)
SELECT nth FROM d WHERE d.clock = :clock AND {DUE} AND {SUSPECT}
""").bindparams(bindparam("project_ids", type_=ARRAY(Uuid)), bindparam("ids", type_=ARRAY(Uuid)))

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

BLOCK_DESTINATION = text("""
UPDATE destinations
SET blocked_at = clock_now(), blocked_reason = :reason, revision = revision + 1, updated_at = clock_now()
WHERE project_id = :project_id AND id = :id AND blocked_at IS NULL
RETURNING id
""")


async def claim(
    session: Session,
    wanted: Sequence[tuple[UUID, UUID]],
    token: UUID,
    lease: float,
    known: KnownDestinations,
    *,
    alone: bool = False,
) -> list[Claim | None]:
    """Take deliveries, given by (project id, id), for one attempt each and `lease` seconds.

    Those that come to their last chance are only taken `alone`.

    Returns the claim of each, None for those that are not due, too late, taken by another, or ended. Of two
    that are the same, one is taken. What has been taken with the same token is returned once more.
    """
    parameters = {
        **_keys(wanted),
        "token": token,
        "clock": session.clock.id,
        "lease": lease,
        "alone": alone,
    }
    rows: Sequence[Any] = (await session.execute(CLAIM, parameters)).all()
    taken: list[Claim | None] = [None] * len(wanted)
    keys: list[Key] = [(wanted[row[0] - 1][0], row[2], row[-1]) for row in rows]
    destinations = await known.find(session, set(keys))
    for row, key in zip(rows, keys, strict=True):
        if key in destinations:
            place = row[0] - 1
            taken[place] = Claim._make((*wanted[place], *row[1:-1], token, destinations[key]))
    return taken


def _keys(wanted: Sequence[tuple[UUID, UUID]]) -> dict[str, list[UUID]]:
    return {
        "project_ids": [project_id for project_id, _ in wanted],
        "ids": [delivery_id for _, delivery_id in wanted],
    }


async def suspects(session: Session, wanted: Sequence[tuple[UUID, UUID]]) -> list[bool]:
    """Tell which of these are due, but left alone by `claim` because it is their last chance."""
    parameters = _keys(wanted) | {"clock": session.clock.id}
    places = {row.nth for row in await session.execute(SUSPECTS, parameters)}
    return [place in places for place in range(1, len(wanted) + 1)]


async def give_back(
    session: Session, project_id: UUID, delivery_id: UUID, token: UUID, wait: float = 0
) -> None:
    """Undo a claim from which nothing was sent; the delivery is due again in `wait` seconds."""
    parameters = {"project_id": project_id, "id": delivery_id, "token": token, "wait": wait}
    await session.execute(GIVE_BACK, parameters)


async def block_destination(session: Session, project_id: UUID, destination_id: UUID, reason: str) -> bool:
    """Stop sending to a destination, and hold what waits for it; return whether it was not blocked before."""
    parameters = {"project_id": project_id, "id": destination_id, "reason": reason}
    if (await session.execute(BLOCK_DESTINATION, parameters)).first() is None:
        return False
    await waiting.hold_for(session, project_id, destination_id)
    return True
