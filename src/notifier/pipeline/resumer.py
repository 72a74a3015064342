"""Ends the pauses that were to last until now."""

from notifier.domain import pause, schedule
from notifier.storage import pauses
from notifier.storage.engine import Database

CHANGED_BY = "scheduler"


async def resume_due(database: Database, *, batch: int) -> int:
    """Resume every notification whose pause is over, as of the end of its pause; return how many."""
    resumed = 0
    while True:
        async with database.transaction() as session:
            rows = await pauses.over(session, batch)
            for row in rows:
                ended = pause.resume(
                    schedule.parse(row.schedule),
                    at=row.paused_until,
                    anchor_at=row.anchor_at,
                    next_due_at=row.next_due_at,
                    sent=row.slots_sent,
                )
                await pauses.end(session, row, ended, changed_by=CHANGED_BY)
        resumed += len(rows)
        if len(rows) < batch:
            return resumed
