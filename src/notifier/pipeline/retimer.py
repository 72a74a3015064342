"""After a change of the zone data: works out again what is due in the zones that it moves."""

from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row

from notifier.domain import schedule
from notifier.storage import retiming
from notifier.storage.engine import Database
from notifier.storage.retiming import Retimed

log = structlog.get_logger(__name__)

BATCH = 1000
LARGEST_MOVE = timedelta(hours=12)
"""More than a change of the zone data moves a slot by; less than the day between two daily ones."""


async def run(database: Database) -> int:
    """Bring every notification to the installed zone data; return how many are due at another instant now.

    Only slots to come are worked out again; what has come due stays as it was.
    """
    version = schedule.zones.version()
    moved, last = 0, None
    while True:
        async with database.transaction() as session:
            rows = await retiming.outdated(session, version, BATCH, last)
            retimed = [Retimed(row.project_id, row.id, _next_due(row)) for row in rows]
            await retiming.update(session, retimed, version)
        moved += sum(bool(new.next_due_at != old.next_due_at) for new, old in zip(retimed, rows, strict=True))
        if len(rows) < BATCH:
            break
        last = rows[-1]
    if moved:
        log.warning("zones.changed", version=version, moved=moved)
    return moved


def _next_due(row: Row[Any]) -> datetime | None:
    """Return when a notification is due by the installed zone data; None, too, only by that data.

    An edit may have put the slot off beyond the rule's first one, so what is looked for is near it.
    """
    due: datetime | None = row.next_due_at
    if due is None or due <= row.now:
        return due
    try:
        rule = schedule.parse_text(row.schedule)
        after = max(row.now, row.last_slot_at or row.now, due - LARGEST_MOVE)
        return schedule.next_slot(rule, after=after, anchor=row.anchor_at, ended=row.slots_sent)
    except Exception:
        # the planner will say so in the ledger; until then it must not keep the others from starting
        log.exception("notification.untimeable", notification_id=str(row.id))
        return due
