"""Ends the pauses that were to last until now."""

from typing import Any

import structlog
from sqlalchemy import Row

from notifier.domain import pause, schedule
from notifier.domain.pause import Resumption
from notifier.storage import pauses
from notifier.storage.engine import Database

log = structlog.get_logger(__name__)

CHANGED_BY = "scheduler"
BATCH = 100
"""Each takes some statements, and a transaction shall be short."""


async def resume_due(database: Database) -> int:
    """Resume every notification whose pause is over, as of the end of its pause; return how many were due."""
    resumed = 0
    while True:
        async with database.transaction() as session:
            rows = await pauses.over(session, BATCH)
            for row in rows:
                if ended := _resume(row):
                    await pauses.end(session, row, ended, changed_by=CHANGED_BY)
                else:
                    await pauses.put_off(session, row)
        resumed += len(rows)
        if len(rows) < BATCH:
            return resumed


def _resume(row: Row[Any]) -> Resumption | None:
    """Return what follows, or None: one that cannot be resumed must not stop the others."""
    try:
        return pause.resume(
            schedule.parse_text(row.schedule),
            at=row.paused_until,
            anchor_at=row.anchor_at,
            next_due_at=row.next_due_at,
            sent=row.slots_sent,
        )
    except Exception:
        log.exception("notification.unresumable", notification_id=str(row.id))
        return None
