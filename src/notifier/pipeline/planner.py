"""The sweep's first half: write the slots of due notifications into the ledger, then ring for them."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

import structlog

from notifier import failpoints
from notifier.jobs import Job, Queue
from notifier.pipeline import resumer
from notifier.pipeline.plans import Plan
from notifier.storage import planning
from notifier.storage.engine import Database, Session
from notifier.storage.plan_rows import Due, Moved
from notifier.storage.tables import LIVE

log = structlog.get_logger(__name__)

Taken = TypeVar("Taken", Due, Moved)

SCHEDULER = "scheduler"
FIRST_RING = 1
FIRST_BATCH = 100
"""Notifications in the first transaction of a sweep. Each next one has twice as many, so that the workers
have work soon, and always."""

CONNECTIONS = 3
"""What a scheduler uses at once when it starts: to sweep, to rescue, and to delete history."""

MOST_DELIVERIES = 20_000
"""Rows for the ledger in one transaction, give or take those of one notification."""


async def get_ready(database: Database) -> None:
    """Open connections and have the statements of a sweep planned, so that the first one need not wait.

    If that fails, the sweep itself will say why.
    """
    try:
        await asyncio.gather(*(_rehearse(database) for _ in range(CONNECTIONS)))
    except Exception as error:
        log.warning("sweep.unready", error=repr(error))


async def _rehearse(database: Database) -> None:
    async with database.transaction() as session:
        await planning.rehearse(session)


async def sweep(
    database: Database,
    queue: Queue | None,
    *,
    batch: int,
    hold_before: datetime | None = None,
    after_batch: Callable[[], None] = lambda: None,
) -> int:
    """Plan all that is due, a transaction per batch; return the number of notifications planned.

    Any number of sweeps may run at once: each takes rows that no other holds. Without a queue nobody is rung
    for. Slots before `hold_before` are held for a decision instead of being sent. `after_batch` is called
    after each transaction: a long sweep is no hang.
    """
    await resumer.resume_due(database)
    planned, size = 0, min(batch, FIRST_BATCH)
    while True:
        async with database.transaction() as session:
            taken, more = await _plan_batch(session, queue, size, hold_before)
        planned, size = planned + taken, min(batch, 2 * size)
        after_batch()
        if not more:
            return planned


async def _plan_batch(
    session: Session, queue: Queue | None, batch: int, hold_before: datetime | None
) -> tuple[int, bool]:
    """Plan up to `batch` notifications; return how many, and whether there may be more.

    The ring follows the commit, so no job precedes its row.
    """
    due = await planning.take_due(session, batch)
    moved = await planning.take_moved(session, batch)
    plan, left = await _plan(session, due, moved, hold_before)
    written = await planning.add_slots(session, plan.deliveries)
    failpoints.reach(failpoints.AFTER_INSERT)
    await planning.move_on(session, plan.moves)
    await planning.count_sent(session, plan.counted)
    if session.clock.id == LIVE:
        await planning.beat(session, SCHEDULER)
    jobs = [Job(project_id, delivery_id, FIRST_RING) for project_id, delivery_id in written]
    if queue is not None and jobs:
        session.after_commit(lambda: _ring(queue, jobs))
    return len(due) - left, bool(left) or batch in {len(due), len(moved)}


async def _ring(queue: Queue, jobs: Sequence[Job]) -> None:
    failpoints.reach(failpoints.AFTER_COMMIT)
    await queue.ring(jobs)


async def _plan(
    session: Session, due: Sequence[Due], moved: Sequence[Moved], hold_before: datetime | None
) -> tuple[Plan, int]:
    """Return the plan, and how many due rows are left for the next batch: downtimes make many slots."""
    plan = Plan(
        await planning.destinations_of(session, [*due, *moved]),
        await planning.exceptions_of(session, due),
        hold_before,
    )
    for one in moved:
        _try(plan.add_moved, one, plan.give_up)
    for position, row in enumerate(due):
        if len(plan.deliveries) >= MOST_DELIVERIES:
            return plan, len(due) - position
        _try(plan.add_due, row, plan.put_off)
    return plan, 0


def _try(add: Callable[[Taken], None], row: Taken, put_off: Callable[[Taken], None]) -> None:
    """Add a row to the plan; one that cannot be planned must not stop the others."""
    try:
        add(row)
    except Exception:
        log.exception("notification.unplannable", notification_id=str(row.id))
        put_off(row)
