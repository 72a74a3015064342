"""After a long silence - a restored or cloned database - overdue slots are held for a decision."""

from datetime import datetime

import structlog

from notifier.pipeline.planner import SCHEDULER
from notifier.storage import planning
from notifier.storage.engine import Database

log = structlog.get_logger(__name__)

HOLD = "hold"


async def hold_before(database: Database, silence: float | None) -> datetime | None:
    """Return the instant (UTC) before which slots are held, None if they are to be sent.

    `silence` is the seconds without any scheduler after which they are held, None for never. The instant
    is kept: a scheduler that starts beside this one, or after its end, holds the same slots.
    """
    if silence is None:
        return None
    async with database.transaction() as session:
        age = await planning.age_of_beat(session, SCHEDULER, lock=True)
        if age is not None and age > silence:
            held = await planning.hold_overdue(session)
            await planning.beat(session, HOLD)
            await planning.beat(session, SCHEDULER)
            log.warning("slots.held", seconds_of_silence=int(age), deliveries=held)
        return await planning.time_of_beat(session, HOLD)
