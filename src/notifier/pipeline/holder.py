"""After a long silence - a restored or cloned database - overdue slots are held for a decision."""

from datetime import datetime

import structlog

from notifier.pipeline.planner import SCHEDULER
from notifier.storage import planning, stretches
from notifier.storage.engine import Database, Session
from notifier.storage.stretches import START, Mark, Stretch
from notifier.storage.tables import LIVE

log = structlog.get_logger(__name__)

HOLD = "hold"
BATCH = 10_000


async def hold_before(database: Database, silence: float | None) -> datetime | None:
    """Return the instant (UTC) before which slots are held, None if they are to be sent.

    `silence` is the seconds without any scheduler after which they are held, None for never. The instant
    is kept: a scheduler that starts beside this one, or after its end, holds the same slots.
    """
    if silence is None:
        return None
    async with database.transaction() as session:
        is_silent = await _silence(session, silence) is not None
    # before the sign of life: who is killed on the way begins anew
    held = await _hold_what_waits(database) if is_silent else 0
    async with database.transaction() as session:
        if (age := await _silence(session, silence, lock=True)) is not None:
            await planning.beat(session, HOLD)
            await planning.beat(session, SCHEDULER)
            log.warning("slots.held", seconds_of_silence=int(age), deliveries=held)
        return await planning.time_of_beat(session, HOLD)


async def held_before(session: Session, silence: float | None) -> datetime | None:
    """Return the same for a notification that is planned by itself, before a scheduler is back or after."""
    if silence is None or session.clock.id != LIVE:
        return None
    if await _silence(session, silence) is not None:
        return await planning.now(session)
    return await planning.time_of_beat(session, HOLD)


async def _silence(session: Session, longest: float, *, lock: bool = False) -> float | None:
    """Return the seconds without any scheduler, None if they are no more than `longest`."""
    age = await planning.age_of_beat(session, SCHEDULER, lock=lock)
    return age if age is not None and age > longest else None


async def _hold_what_waits(database: Database) -> int:
    """Hold what was planned before the silence, a transaction for each batch; return how many deliveries."""
    held, mark = 0, START
    while True:
        stretch = Stretch(mark, BATCH)
        async with database.transaction() as session:
            end: Mark | None = await stretches.end_of(session, stretch)
            held += await planning.hold_overdue(session, stretch)
        if end is None:
            return held
        mark = end
