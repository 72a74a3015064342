"""After a long silence - a restored or cloned database - overdue slots are held for a decision."""

from datetime import datetime

import structlog

from notifier.pipeline.planner import SCHEDULER
from notifier.storage import planning
from notifier.storage.engine import Database

log = structlog.get_logger(__name__)


async def hold_before(database: Database, silence: float | None) -> datetime | None:
    """Return the instant (UTC) before which slots are held, None if they are to be sent.

    `silence` is the seconds without any scheduler after which they are held, None for never.
    """
    async with database.transaction() as session:
        age = await planning.age_of_beat(session, SCHEDULER)
        if silence is None or age is None or age <= silence:
            return None
        now = await planning.now(session)
    log.warning("slots.held", seconds_of_silence=int(age), before=now.isoformat())
    return now
