"""Whether the service keeps what it promises, counted each minute; what is found is shouted into the log."""

import structlog

from notifier.observability import metrics
from notifier.storage import audit
from notifier.storage.audit import Audit
from notifier.storage.engine import Database

log = structlog.get_logger(__name__)

AUDITOR = "auditor"
EVERY_SECONDS = 60.0

LATE = {
    "overdue_notifications": "is a scheduler alive, and does PostgreSQL keep up?",
    "overdue_deliveries": "are there enough workers, is Redis well, do receivers answer in time?",
    "expired_leases": "is a scheduler alive? it frees what a dead worker held",
}
"""Figures that pass once the cause does, and where to look for it."""

BROKEN = {
    "duplicate_slots": "the unique index uq_deliveries_slot is missing or damaged: REINDEX, then ask why",
    "ended_without_attempt": "rows of `attempts` are gone: was a table restored or edited by itself?",
    "attempts_without_outcome": "an outcome was lost: look for outcome.lost in the workers' logs",
}
"""Figures that show a broken promise, and what to do."""

ADVICE = LATE | BROKEN


async def look(database: Database, lease: float) -> Audit:
    """Return the figures, and show them as metrics; `lease` is in seconds."""
    async with database.transaction() as session:
        found = await audit.audit(session, lease)
    metrics.audited(found.figures())
    return found


async def run(database: Database, lease: float) -> Audit | None:
    """Audit if it is this process's turn, and log each finding; None if another scheduler just did."""
    async with database.transaction() as session:
        if not await audit.take_turn(session, AUDITOR, EVERY_SECONDS * 0.9):
            return None
    found = await look(database, lease)
    for figure, count in found.figures().items():
        if count:
            shout = log.critical if figure in BROKEN else log.error
            shout("audit.finding", figure=figure, count=count, do=ADVICE[figure])
    return found
