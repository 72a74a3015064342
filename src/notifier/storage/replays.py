"""SQL of replays: what may be sent again, and the rows that do it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Label, Row, Select, Text, Uuid, bindparam, case, func, select, text

from notifier.domain.delivery import TERMINAL, Status
from notifier.storage.deliveries import conditions
from notifier.storage.engine import Session
from notifier.storage.tables import deliveries, destinations, notifications

ONE_CLICK_SECONDS = 3
"""A replay this young is the answer to another request for it, even if it has ended: a fast worker must not
make two of a double click."""

ORIGINAL = func.coalesce(deliveries.c.replay_of, deliveries.c.id)
"""All replays of a delivery, and replays of these, are replays of the first one."""

# The index on open replays would refuse a second one; who waits here finds the first instead.
SERIALIZE = text("SELECT pg_advisory_xact_lock(hashtextextended('replays/' || :project_id, 0))")

# Locked in one order. Until the commit none of them is blocked, opened again or deleted, so a row that
# is held is found by whoever opens it.
TARGETS = (
    select(destinations.c.id)
    .where(destinations.c.deleted_at.is_(None))
    .order_by(destinations.c.id)
    .with_for_update(read=True)
)

ORIGINALS = bindparam("originals", type_=ARRAY(Uuid))
# One pass over all of them: asked row by row, a ledger without statistics is read once for each row.
NEWEST = text(f"""
SELECT replay_of, bool_or(status = 'delivered') AS arrived,
  (array_agg(id ORDER BY id DESC) FILTER (
    WHERE status IN ('pending', 'sending', 'retrying', 'held', 'unknown')
      OR created_at > clock_now() - interval '{ONE_CLICK_SECONDS} seconds'
  ))[1] AS young
FROM deliveries WHERE project_id = :project_id AND replay_of = ANY(:originals) GROUP BY replay_of
""").bindparams(ORIGINALS)

# The same words to the same place, whatever the notification says by now; no next slot ends it. The words may
# be old enough to be deleted: locked, they stay until the new row is there to keep them.
ADD = text("""
INSERT INTO deliveries (
  project_id, id, notification_id, revision, destination_id, clock, trigger, scheduled_for, exception_id,
  watched, message_id, replay_of, status, next_attempt_at, enqueued_at
)
SELECT
  d.project_id, new.id, d.notification_id, d.revision, d.destination_id, :clock, 'replay', d.scheduled_for,
  d.exception_id, d.watched, coalesce(new.message_id, d.message_id), coalesce(d.replay_of, d.id),
  CASE WHEN t.blocked_at IS NULL THEN 'pending' ELSE 'held' END,
  CASE WHEN t.blocked_at IS NULL THEN clock_now() END,
  CASE WHEN t.blocked_at IS NULL THEN clock_now() END
FROM unnest(:ids, :repeated, :message_ids) AS new (id, repeated, message_id)
JOIN deliveries AS d ON d.project_id = :project_id AND d.id = new.repeated
JOIN destinations AS t ON t.project_id = d.project_id AND t.id = d.destination_id
JOIN notification_revisions AS r ON r.project_id = d.project_id AND r.notification_id = d.notification_id
  AND r.revision = d.revision
FOR KEY SHARE OF r
ON CONFLICT (project_id, replay_of)
  WHERE replay_of IS NOT NULL AND finished_at IS NULL DO NOTHING
RETURNING id, status
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("repeated", type_=ARRAY(Uuid)),
    bindparam("message_ids", type_=ARRAY(Text)),
)


@dataclass(frozen=True, slots=True)
class Replay:
    """A new row that repeats a delivery; without `message_id` receivers know it as the same message."""

    id: UUID
    repeated: UUID
    message_id: str | None


async def serialize(session: Session, project_id: UUID) -> None:
    """Have replays of this project wait for one another until the commit."""
    await session.execute(SERIALIZE, {"project_id": str(project_id)})


async def candidates(
    session: Session, project_id: UUID, filters: Mapping[str, Any], *, after: UUID | None, most: int
) -> Sequence[Row[Any]]:
    """Return up to `most` deliveries that `filters` name, oldest first, from beyond the id `after`.

    `original` is the first of those that repeat one another; `bar` says why one cannot be sent again.
    Replays are found by their ids only: a walk would meet those that it made itself.
    """
    return (await session.execute(chosen(project_id, filters, after=after, most=most))).all()


def chosen(project_id: UUID, filters: Mapping[str, Any], *, after: UUID | None, most: int) -> Select[Any]:
    """Return the query of `candidates`."""
    d, n = deliveries, notifications
    statement = (
        select(d.c.id, ORIGINAL.label("original"), d.c.destination_id, d.c.scheduled_for, d.c.status, _bar())
        .outerjoin(n, (n.c.project_id == d.c.project_id) & (n.c.id == d.c.notification_id))
        .where(d.c.project_id == project_id, *conditions(filters))
        .order_by(d.c.id)
        .limit(most)
    )
    statement = statement if filters.get("ids") is not None else statement.where(d.c.replay_of.is_(None))
    return statement if after is None else statement.where(d.c.id > after)


def _bar() -> Label[Any]:
    d = deliveries
    return case(
        (d.c.status == Status.UNKNOWN, "undecided"),
        (d.c.status.not_in(TERMINAL), "not_ended"),
        (d.c.notification_id.is_(None), "no_notification"),
        (d.c.slot_count > 1, "range"),
        (notifications.c.deleted_at.is_not(None), "notification_deleted"),
    ).label("bar")


async def newest(session: Session, project_id: UUID, originals: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """Return what is known of the replays of these deliveries, by the id of what they repeat.

    `young` is the newest that is open or was just made, `arrived` whether one was delivered.
    """
    found = await session.execute(NEWEST, {"project_id": project_id, "originals": list(originals)})
    return {row.replay_of: row for row in found}


async def lock_targets(session: Session, project_id: UUID, ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these destinations are not deleted; they stay as they are until the commit."""
    statement = TARGETS.where(destinations.c.project_id == project_id, destinations.c.id.in_(ids))
    return set((await session.execute(statement)).scalars())


async def add(session: Session, project_id: UUID, rows: Sequence[Replay]) -> list[UUID]:
    """Write replays, held where the destination is blocked; return the ids of those to be sent now."""
    parameters = {
        "project_id": project_id,
        "clock": session.clock.id,
        "ids": [row.id for row in rows],
        "repeated": [row.repeated for row in rows],
        "message_ids": [row.message_id for row in rows],
    }
    written = await session.execute(ADD, parameters)
    return [row.id for row in written if row.status == Status.PENDING]
