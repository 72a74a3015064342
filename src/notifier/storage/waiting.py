"""What waits for a destination, and what is held for it: held, canceled or let go, in pieces of bounded cost.

No index finds what waits for one destination, for each delivery would pay for it. So the newest deliveries of
the destination are looked at, among which it nearly always is. What else waits is never claimed, and the
rescuer settles it when it is due (`rescue.SETTLE`).
"""

from uuid import UUID

from sqlalchemy import Row, TextClause, Uuid, bindparam, text

from notifier.domain.delivery import Reason
from notifier.storage.engine import Session

MOST_LOOKED_AT = 20_000
BATCH = 10_000
"""Deliveries changed by one statement: half a million by one would take longer than it may."""


def _waiting(changes: str) -> TextClause:
    return text(f"""
WITH newest AS MATERIALIZED (
  SELECT project_id, id, status FROM deliveries
  WHERE project_id = :project_id AND destination_id = :destination_id
  ORDER BY id DESC LIMIT :most
)
UPDATE deliveries AS d SET {changes}, next_attempt_at = NULL, enqueued_at = NULL
FROM newest
WHERE newest.status IN ('pending', 'retrying') AND d.project_id = newest.project_id AND d.id = newest.id
  AND d.status IN ('pending', 'retrying')
""")


def _held(changes: str, which: str = "") -> TextClause:
    """Return the statement that changes a batch of held deliveries and answers with the last id of it."""
    return text(f"""
WITH batch AS MATERIALIZED (
  SELECT project_id, id FROM deliveries
  WHERE project_id = :project_id AND open_end = 'held' AND destination_id = :destination_id AND id > :after
    {which}
  ORDER BY id LIMIT :batch
), changed AS (
  UPDATE deliveries AS d SET {changes}
  FROM batch
  WHERE d.project_id = batch.project_id AND d.id = batch.id AND d.status = 'held'
)
SELECT id FROM batch ORDER BY id DESC LIMIT 1
""").bindparams(bindparam("after", type_=Uuid))


_CANCELED = f"status = 'canceled', reason = '{Reason.DESTINATION_DELETED}', finished_at = clock_now()"

HOLD_WAITING = _waiting("status = 'held'")
CANCEL_WAITING = _waiting(_CANCELED)
CANCEL_HELD = _held(_CANCELED)

# The overdue ones wait for the operator's decision.
RELEASE_HELD = _held(
    "status = 'pending', next_attempt_at = clock_now(), enqueued_at = NULL, start_by = NULL,"
    " expires_at = NULL",
    f"AND reason IS DISTINCT FROM '{Reason.OVERDUE}'",
)


async def hold_for(session: Session, project_id: UUID, destination_id: UUID) -> None:
    """Hold what waits for a blocked destination; what is not found now is held when it is due."""
    await _change_waiting(session, HOLD_WAITING, project_id, destination_id)


async def cancel_for(session: Session, project_id: UUID, destination_id: UUID) -> None:
    """Cancel what waits or is held for a deleted destination; what is not found now, when it is due."""
    await _change_waiting(session, CANCEL_WAITING, project_id, destination_id)
    await _change_held(session, CANCEL_HELD, project_id, destination_id)


async def release_held(session: Session, project_id: UUID, destination_id: UUID) -> None:
    """Let the held deliveries of a destination go on; the rescue sweep rings for them."""
    await _change_held(session, RELEASE_HELD, project_id, destination_id)


async def _change_waiting(
    session: Session, statement: TextClause, project_id: UUID, destination_id: UUID
) -> None:
    parameters = {"project_id": project_id, "destination_id": destination_id, "most": MOST_LOOKED_AT}
    await session.execute(statement, parameters)


async def _change_held(
    session: Session, statement: TextClause, project_id: UUID, destination_id: UUID
) -> None:
    last: Row[tuple[UUID]] | None = None
    parameters = {"project_id": project_id, "destination_id": destination_id, "batch": BATCH}
    while True:
        after = last.id if last else UUID(int=0)
        last = (await session.execute(statement, parameters | {"after": after})).one_or_none()
        if last is None:
            return
