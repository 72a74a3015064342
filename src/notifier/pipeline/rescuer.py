"""The sweep's second half: free what a dead worker held, end what is too late, ring again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Row

from notifier import failpoints
from notifier.clock import monotonic
from notifier.domain import schedule
from notifier.jobs import Job, Queue
from notifier.storage import occurrences, rescue
from notifier.storage.engine import Database

log = structlog.get_logger(__name__)

BATCH = 1000
RECORDING_FIRST_SECONDS = 10.0
"""More than the longest pause between two tries of a worker to write an outcome."""


@dataclass(slots=True)
class Outage:
    """When the database last failed the rescuer, on the monotonic clock."""

    at: float = float("-inf")


@dataclass(frozen=True, slots=True)
class Rescued:
    """How many deliveries one pass freed, ended and rang for."""

    freed: int
    expired: int
    rung: int


async def run(database: Database, queue: Queue, outage: Outage | None = None) -> Rescued:
    """Make one pass. Every part is safe to run at the same time elsewhere.

    Who passes the same `outage` each time gives workers the time to write, after one, what they could not.
    """
    freed = await _break_leases_late(database, outage or Outage())
    expired = await expire(database)
    rescued = Rescued(freed, expired, await _ring_again(database, queue))
    if any((rescued.freed, rescued.expired)):
        log.warning("deliveries.rescued", freed=freed, expired=expired, rung=rescued.rung)
    return rescued


async def _break_leases_late(database: Database, outage: Outage) -> int:
    """Break leases, but after an outage not at once: they ended in it, and their workers may well live."""
    recording = monotonic() - outage.at < RECORDING_FIRST_SECONDS
    try:
        return await break_leases(database, most=0 if recording else BATCH)
    except Exception:
        outage.at = monotonic()
        raise


async def break_leases(database: Database, most: int = BATCH) -> int:
    """Free what a dead worker held; return how many deliveries."""
    async with database.transaction() as session:
        freed = await rescue.break_leases(session, most)
        failpoints.reach(failpoints.IN_RESCUE)
    return freed


async def expire(database: Database) -> int:
    """End what waits in vain and what waits past its next slot; return how many of the latter."""
    async with database.transaction() as session:
        await rescue.settle(session, BATCH)
    async with database.transaction() as session:
        expired = await rescue.expire(session, BATCH)
    async with database.transaction() as session:
        counted = await occurrences.expire(session, BATCH)
        for row in await occurrences.give_back(session, counted):
            if row.completed_at is not None and (following := _slot_after_all(row)):
                await occurrences.reopen(session, row, following)
    return expired + len(counted)


def _slot_after_all(row: Row[Any]) -> datetime | None:
    """Return the slot with which a completed notification goes on, None if it was completed by its rule.

    None also if nobody can tell: others must not suffer from that.
    """
    try:
        rule = schedule.parse_text(row.schedule)
        most = rule.limits.max_occurrences
        if most is None or row.slots_sent + row.given_back < most:
            return None
        return schedule.next_slot(rule, after=row.last_slot_at, anchor=row.anchor_at, ended=row.slots_sent)
    except Exception:
        log.exception("notification.unplannable", notification_id=str(row.id))
        return None


async def forget(database: Database) -> None:
    """Drop what is kept for a limited time only."""
    async with database.transaction() as session:
        await rescue.forget_answers(session)


async def _ring_again(database: Database, queue: Queue) -> int:
    """Ring for due deliveries that have no job, or whose job is lost; return how many."""
    rung, last = 0, None
    while True:
        async with database.transaction() as session:
            waiting = await rescue.unrung(session, BATCH, last)
        lost = await _without_job(queue, waiting)
        async with database.transaction() as session:
            counted = await rescue.count_ring(session, lost)
        failpoints.reach(failpoints.IN_RESCUE)
        await queue.ring([Job(row.project_id, row.id, row.enqueue_seq) for row in counted])
        rung += len(counted)
        if len(waiting) < BATCH:
            return rung
        last = waiting[-1]


async def _without_job(queue: Queue, waiting: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Return the rows that no job in Redis stands for."""
    rung = {Job(row.project_id, row.id, row.enqueue_seq): row for row in waiting if not row.silent}
    lost = await queue.lost(list(rung))
    return [row for row in waiting if row.silent] + [rung[job] for job in lost]
