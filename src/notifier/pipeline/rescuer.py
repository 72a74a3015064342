"""The sweep's second half: free what a dead worker held, end what is too late, ring again.

Each pass looks through one stretch of what is due, and the next one goes on behind it: a pass costs the same
however much is due.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Row
from sqlalchemy.exc import DBAPIError

from notifier import failpoints
from notifier.clock import monotonic
from notifier.domain import schedule
from notifier.jobs import Job, Queue
from notifier.storage import occurrences, rescue, stretches
from notifier.storage.engine import Database, Session
from notifier.storage.failures import is_away
from notifier.storage.stretches import ALL, START, Mark, Stretch

log = structlog.get_logger(__name__)

BATCH = 1000
MOST_BATCHES = stretches.LENGTH // BATCH
RECORDING_FIRST_SECONDS = 10.0
"""More than the longest pause between two tries of a worker to write an outcome."""


@dataclass(slots=True)
class Progress:
    """What one pass tells the next: where it stopped, and when the database was last away (monotonic)."""

    mark: Mark = START
    away_at: float = float("-inf")


@dataclass(frozen=True, slots=True)
class Rescued:
    """How many deliveries one pass freed, ended and rang for."""

    freed: int
    expired: int
    rung: int


async def run(database: Database, queue: Queue, progress: Progress | None = None) -> Rescued:
    """Make one pass. Every part is safe to run at the same time elsewhere, and what fails stops no other.

    The first failure is raised at the end. Who passes the same `progress` each time sees all that is due, a
    stretch in each pass, and gives workers the time to write, after an outage, what they could not.
    """
    progress = progress or Progress()
    try:
        rescued = await _look_through(database, queue, progress)
    except Exception as error:
        if is_away(error) if isinstance(error, DBAPIError) else isinstance(error, OSError):
            progress.away_at = monotonic()
        raise
    if any((rescued.freed, rescued.expired)):
        log.warning("deliveries.rescued", **asdict(rescued))
    return rescued


async def _look_through(database: Database, queue: Queue, progress: Progress) -> Rescued:
    """Do all parts for the next stretch."""
    stretch = Stretch(progress.mark, stretches.LENGTH)
    async with database.transaction() as session:
        progress.mark = await stretches.end_of(session, stretch) or START
    # leases that ended in an outage are not broken at once: their workers may well live
    recording = monotonic() - progress.away_at < RECORDING_FIRST_SECONDS
    done = await _each(
        partial(break_leases, database, stretch, most=0 if recording else BATCH),
        partial(expire, database, stretch),
        partial(_ring_again, database, queue, stretch),
    )
    return Rescued(*done)


async def _each(*parts: Callable[[], Awaitable[int]]) -> list[int]:
    """Do all parts in turn; return how much each did, or raise the first failure after the last."""
    done, failures = [], []
    for part in parts:
        try:
            done.append(await part())
        except Exception as error:
            failures.append(error)
    for another in failures[1:]:
        log.warning("rescue.failed", error=repr(another))
    if failures:
        raise failures[0]
    return done


async def _in_batches(database: Database, work: Callable[[Session], Awaitable[int]]) -> int:
    """Do `work`, a transaction for each batch, until there is less than a batch of it; return how much."""
    done = 0
    for _ in range(MOST_BATCHES):
        async with database.transaction() as session:
            done += (count := await work(session))
            failpoints.reach(failpoints.IN_RESCUE)
        if count < BATCH:
            break
    return done


async def break_leases(database: Database, stretch: Stretch = ALL, most: int = BATCH) -> int:
    """Free what a dead worker held; return how many deliveries."""
    return await _in_batches(database, partial(rescue.break_leases, stretch=stretch, batch=most))


async def expire(database: Database, stretch: Stretch = ALL) -> int:
    """End what waits in vain and what waits past its next slot; return how many of the latter."""
    _, expired, counted = await _each(
        partial(_in_batches, database, partial(rescue.settle, stretch=stretch, batch=BATCH)),
        partial(_in_batches, database, partial(rescue.expire, stretch=stretch, batch=BATCH)),
        partial(_in_batches, database, partial(_expire_counted, stretch=stretch)),
    )
    return expired + counted


async def _expire_counted(session: Session, stretch: Stretch) -> int:
    """End a batch of what is counted, and have notifications go on whose last slot was not used up."""
    counted = await occurrences.expire(session, stretch, BATCH)
    for row in await occurrences.give_back(session, counted):
        if row.completed_at is not None and (following := _slot_after_all(row)):
            await occurrences.reopen(session, row, following)
    return len(counted)


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


async def _ring_again(database: Database, queue: Queue, stretch: Stretch) -> int:
    """Ring for due deliveries that have no job, or whose job is lost; return how many."""
    async with database.transaction() as session:
        waiting = await rescue.unrung(session, stretch)
    rung = 0
    for start in range(0, len(waiting), BATCH):
        lost = await _without_job(queue, waiting[start : start + BATCH])
        async with database.transaction() as session:
            counted = await rescue.count_ring(session, lost)
        failpoints.reach(failpoints.IN_RESCUE)
        await queue.ring([Job(row.project_id, row.id, row.enqueue_seq) for row in counted])
        rung += len(counted)
    return rung


async def _without_job(queue: Queue, waiting: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Return the rows that no job in Redis stands for."""
    rung = {Job(row.project_id, row.id, row.enqueue_seq): row for row in waiting if not row.silent}
    lost = await queue.lost(list(rung))
    return [row for row in waiting if row.silent] + [rung[job] for job in lost]
