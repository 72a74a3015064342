"""SQL of the planner: take due notifications, write their slots into the ledger, move them on."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Integer, Row, Text, Uuid, bindparam, select, text

from notifier.domain.delivery import Status
from notifier.storage.arrays import Given, unnest
from notifier.storage.engine import Session
from notifier.storage.lateness import TOO_LATE
from notifier.storage.plan_rows import Due, Move, Moved, NewDelivery
from notifier.storage.stretches import WALKED, Stretch, walking
from notifier.storage.tables import clock_now

ROWS_A_STATEMENT = 5000

KEYS = ("project_ids", "ids")
NEW = Given(
    own={"project_id": Uuid, "id": Uuid, "notification_id": Uuid, "destination_id": Uuid, "message_id": Text},
    shared={
        "revision": Integer,
        "scheduled_for": DateTime(timezone=True),
        "start_by": DateTime(timezone=True),
        "expires_at": DateTime(timezone=True),
        "status": Text,
        "reason": Text,
        "slot_count": Integer,
        "range_end": DateTime(timezone=True),
        "exception_id": Uuid,
    },
)
"""The columns of NewDelivery."""

MOVES = Given(
    own={"project_id": Uuid, "id": Uuid},
    shared={
        "revision": Integer,
        "last_slot_at": DateTime(timezone=True),
        "next_due_at": DateTime(timezone=True),
        "sent": Integer,
    },
)
"""The columns of Move."""

TAKE_DUE = text(f"""
WITH due AS MATERIALIZED (
  SELECT project_id, id, revision, schedule::text AS schedule, anchor_at, next_due_at, slots_sent,
    clock_now() AS now
  FROM notifications
  WHERE clock = :clock AND status = 'active' AND next_due_at <= clock_now()
  ORDER BY next_due_at
  LIMIT :batch
  FOR UPDATE SKIP LOCKED
)
SELECT {", ".join(Due._fields)} FROM due
""")

# A statement of its own: what it sees is newer than the locks, so it fits the revisions just read.
DESTINATIONS = text(f"""
SELECT project_id, notification_id, array_agg(destination_id ORDER BY position) AS ids
FROM notification_destinations
WHERE (project_id, notification_id) IN (SELECT * FROM {unnest(KEYS)})
GROUP BY project_id, notification_id
""").bindparams(bindparam("project_ids", type_=ARRAY(Uuid)), bindparam("ids", type_=ARRAY(Uuid)))

EXCEPTIONS = text(f"""
SELECT project_id, notification_id, id, slot_at, action, planned_at
FROM notification_exceptions
WHERE (project_id, notification_id) IN (SELECT * FROM {unnest(KEYS)}) AND deleted_at IS NULL
""").bindparams(bindparam("project_ids", type_=ARRAY(Uuid)), bindparam("ids", type_=ARRAY(Uuid)))

# Slots that a user moved to another instant are planned by themselves; the rule goes its own way, and
# may have come to its end meanwhile. The notification is locked too: it may be edited, or just be planned.
TAKE_MOVED = text(f"""
WITH moved AS MATERIALIZED (
  SELECT n.project_id, n.id, n.revision, n.schedule::text AS schedule, n.anchor_at, n.last_slot_at,
    n.slots_sent, x.id AS exception_id, x.slot_at, x.move_to, clock_now() AS now
  FROM notification_exceptions AS x
  JOIN notifications AS n ON n.project_id = x.project_id AND n.id = x.notification_id
  WHERE x.clock = :clock AND x.planned_at IS NULL AND x.deleted_at IS NULL AND x.move_to <= clock_now()
    AND n.status IN ('active', 'completed')
  ORDER BY x.move_to
  LIMIT :batch
  FOR UPDATE OF x, n SKIP LOCKED
), planned AS (
  UPDATE notification_exceptions AS x SET planned_at = clock_now() FROM moved
  WHERE x.project_id = moved.project_id AND x.id = moved.exception_id
)
SELECT {", ".join(Moved._fields)} FROM moved
""")

# A destination that is blocked gets its deliveries held. Rows that the schema has already are left alone:
# a slot exists once per destination.
ADD_SLOTS = NEW.bind(
    text(f"""
WITH added AS (
INSERT INTO deliveries (
  project_id, id, notification_id, revision, destination_id, clock, trigger, scheduled_for, start_by,
  expires_at, message_id, slot_count, range_end, exception_id, status, reason, next_attempt_at, enqueued_at,
  finished_at
)
SELECT
  new.project_id, new.id, new.notification_id, new.revision, new.destination_id, :clock, 'schedule',
  new.scheduled_for, new.start_by, new.expires_at, new.message_id, new.slot_count, new.range_end,
  new.exception_id,
  CASE WHEN new.status = 'pending' AND d.blocked_at IS NOT NULL THEN 'held' ELSE new.status END,
  new.reason,
  CASE WHEN new.status = 'pending' AND d.blocked_at IS NULL THEN clock_now() END,
  CASE WHEN new.status = 'pending' AND d.blocked_at IS NULL THEN clock_now() END,
  CASE WHEN new.status NOT IN ('pending', 'held') THEN clock_now() END
FROM {NEW.sql} AS new
JOIN destinations AS d ON d.project_id = new.project_id AND d.id = new.destination_id
ON CONFLICT (project_id, notification_id, destination_id, scheduled_for) WHERE trigger = 'schedule' DO NOTHING
RETURNING status
)
SELECT count(*) FROM added WHERE status = 'pending'
""")
)

# Which of the new rows are there and to be sent: asked only where not all of them are.
WRITTEN = text(f"""
SELECT d.project_id, d.id
FROM {unnest(KEYS)} AS new (project_id, id)
JOIN deliveries AS d ON d.project_id = new.project_id AND d.id = new.id
WHERE d.status = 'pending'
""").bindparams(bindparam("project_ids", type_=ARRAY(Uuid)), bindparam("ids", type_=ARRAY(Uuid)))

MOVE_ON = MOVES.bind(
    text(f"""
UPDATE notifications AS n
SET last_slot_at = moved.last_slot_at,
    next_due_at = moved.next_due_at,
    slots_sent = n.slots_sent + moved.sent,
    completed_at = CASE WHEN moved.next_due_at IS NULL THEN clock_now() END
FROM {MOVES.sql} AS moved
WHERE n.project_id = moved.project_id AND n.id = moved.id AND n.revision = moved.revision
""")
)

COUNT_SENT = text("""
UPDATE notifications AS n SET slots_sent = n.slots_sent + counted.sent
FROM (SELECT project_id, id, count(*) AS sent FROM unnest(:project_ids, :ids) AS one (project_id, id)
  GROUP BY project_id, id) AS counted
WHERE n.project_id = counted.project_id AND n.id = counted.id
""").bindparams(bindparam("project_ids", type_=ARRAY(Uuid)), bindparam("ids", type_=ARRAY(Uuid)))

BEAT = text("""
INSERT INTO heartbeats (name, beat_at) VALUES (:name, now())
ON CONFLICT (name) DO UPDATE SET beat_at = excluded.beat_at
""")


# What was planned before the silence and never sent; the expired end by themselves.
HOLD_OVERDUE = walking(f"""
WITH overdue AS MATERIALIZED (
  SELECT project_id, id FROM {WALKED} AS walked
  WHERE status IN ('pending', 'retrying') AND trigger = 'schedule' AND {TOO_LATE} IS NOT TRUE
)
UPDATE deliveries AS d SET status = 'held', reason = 'overdue', next_attempt_at = NULL, enqueued_at = NULL
FROM overdue
WHERE d.project_id = overdue.project_id AND d.id = overdue.id AND d.status IN ('pending', 'retrying')
""")


async def rehearse(session: Session) -> None:
    """Have the statements of a sweep planned on this connection: it plans nothing and writes nothing."""
    nothing: dict[str, Any] = {"clock": session.clock.id, "batch": 0, "project_ids": [], "ids": []}
    nothing |= NEW.parameters([]) | MOVES.parameters([])
    for statement in (TAKE_DUE, DESTINATIONS, EXCEPTIONS, TAKE_MOVED, ADD_SLOTS, MOVE_ON):
        named = statement.compile().params
        await session.execute(statement, {name: nothing[name] for name in named})


async def take_due(session: Session, batch: int) -> list[Due]:
    """Lock and return up to `batch` due notifications that no other planner holds, oldest first."""
    found = await session.execute(TAKE_DUE, {"batch": batch, "clock": session.clock.id})
    return [Due._make(row) for row in found]


async def destinations_of(
    session: Session, due: Sequence[Due | Moved | Row[Any]]
) -> dict[tuple[UUID, UUID], list[UUID]]:
    """Return the destinations of taken notifications, in their order, by (project id, notification id)."""
    if not due:
        return {}
    rows: Iterable[Any] = await session.execute(DESTINATIONS, _keys(due))
    return {(project_id, notification_id): ids for project_id, notification_id, ids in rows}


async def exceptions_of(
    session: Session, due: Sequence[Due]
) -> dict[tuple[UUID, UUID], dict[datetime, Row[Any]]]:
    """Return the exceptions of taken notifications, by (project id, notification id), then by slot."""
    if not due:
        return {}
    rows = await session.execute(EXCEPTIONS, _keys(due))
    found: dict[tuple[UUID, UUID], dict[datetime, Row[Any]]] = {}
    for row in rows:
        found.setdefault((row.project_id, row.notification_id), {})[row.slot_at] = row
    return found


async def take_moved(session: Session, batch: int) -> list[Moved]:
    """Take up to `batch` moved slots that have come due; they count as planned from here on."""
    found = await session.execute(TAKE_MOVED, {"batch": batch, "clock": session.clock.id})
    return [Moved._make(row) for row in found]


async def add_slots(session: Session, rows: Sequence[NewDelivery]) -> list[tuple[UUID, UUID]]:
    """Write `rows`; return (project id, delivery id) of those that a worker shall send now."""
    pending: list[tuple[UUID, UUID]] = []
    for start in range(0, len(rows), ROWS_A_STATEMENT):
        pending += await _add(session, rows[start : start + ROWS_A_STATEMENT])
    return pending


async def _add(session: Session, rows: Sequence[NewDelivery]) -> list[tuple[UUID, UUID]]:
    given = {**NEW.parameters(rows), "clock": session.clock.id}
    written = (await session.execute(ADD_SLOTS, given)).scalar_one()
    to_send = [row for row in rows if row.status == Status.PENDING]
    if written == len(to_send):
        return [(row.project_id, row.id) for row in to_send]
    found: Iterable[Any] = await session.execute(WRITTEN, _keys(to_send))
    return [(project_id, id_) for project_id, id_ in found]


async def move_on(session: Session, moves: Sequence[Move]) -> None:
    """Write where the planned notifications stand now."""
    if moves:
        await session.execute(MOVE_ON, MOVES.parameters(moves))


async def count_sent(session: Session, rows: Sequence[Moved]) -> None:
    """Count one slot more for each of these notifications, of which there may be several rows."""
    if rows:
        await session.execute(COUNT_SENT, _keys(rows))


async def beat(session: Session, name: str) -> None:
    """Note that `name` is alive."""
    await session.execute(BEAT, {"name": name})


async def now(session: Session) -> datetime:
    """Return the instant (UTC) by the clock that the session follows."""
    found: datetime = (await session.execute(select(clock_now()))).scalar_one()
    return found


async def age_of_beat(session: Session, name: str, *, lock: bool = False) -> float | None:
    """Return the seconds since the last beat of `name`, None if there never was one.

    With `lock` others who do the same wait until the commit.
    """
    statement = "SELECT extract(epoch FROM now() - beat_at)::float8 FROM heartbeats WHERE name = :name"
    statement += " FOR UPDATE" if lock else ""
    return (await session.execute(text(statement), {"name": name})).scalar_one_or_none()


async def time_of_beat(session: Session, name: str) -> datetime | None:
    """Return the instant (UTC) of the last beat of `name`, None if there never was one."""
    statement = text("SELECT beat_at FROM heartbeats WHERE name = :name")
    return (await session.execute(statement, {"name": name})).scalar_one_or_none()


async def hold_overdue(session: Session, stretch: Stretch) -> int:
    """Hold the scheduled deliveries that wait and are due; return how many."""
    return (await session.execute(HOLD_OVERDUE, stretch.bounds(session))).rowcount


def _keys(rows: Sequence[Due | Moved | NewDelivery | Row[Any]]) -> dict[str, list[UUID]]:
    return {"project_ids": [row.project_id for row in rows], "ids": [row.id for row in rows]}
