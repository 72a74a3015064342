"""After a change of the zone data: works out again what is due in the zones that it moves."""

from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Row

from notifier.domain import schedule
from notifier.storage import retiming
from notifier.storage.engine import Database
from notifier.storage.retiming import Retimed

log = structlog.get_logger(__name__)

BATCH = 1000


async def run(database: Database) -> int:
    """Bring every notification to the installed zone data; return how many are due at another instant now.

    Only slots to come are worked out again; what has come due stays as it was.
    """
    version = schedule.zones.version()
    moved = 0
    while True:
        async with database.transaction() as session:
            rows = await retiming.outdated(session, version, BATCH)
            retimed = [Retimed(row.project_id, row.id, _next_due(row)) for row in rows]
            await retiming.update(session, retimed, version)
        moved += sum(bool(new.next_due_at != old.next_due_at) for new, old in zip(retimed, rows, strict=True))
        if len(rows) < BATCH:
            break
    if moved:
        log.warning("zones.changed", version=version, moved=moved)
    return moved


def _next_due(row: Row[Any]) -> datetime | None:
    """Return when a notification is due by the installed zone data; None, too, only by that data."""
    due: datetime | None = row.next_due_at
    if due is None or due <= row.now:
        return due
    rule = schedule.parse(row.schedule)
    after = max(row.now, row.last_slot_at or row.now)
    return schedule.next_slot(rule, after=after, anchor=row.anchor_at, ended=row.slots_sent)
