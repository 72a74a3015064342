"""Give up destinations at which nothing has arrived for days: what is due is held, the owner is told."""

from datetime import timedelta

import structlog

from notifier.storage import claims, health
from notifier.storage.engine import Database

log = structlog.get_logger(__name__)

PATIENCE = timedelta(days=5)
BATCH = 100


async def run(database: Database) -> int:
    """Block the destinations that have failed for too long; return how many.

    The database's triggers write the event that tells of it, see `publish_event` in the migrations.
    """
    async with database.transaction() as session:
        rows = await health.failing(session, PATIENCE, BATCH)
        for row in rows:
            await claims.block_destination(session, row.project_id, row.id, "failing")
    for row in rows:
        log.error(
            "destination.blocked",
            project_id=str(row.project_id),
            destination_id=str(row.id),
            kind=row.kind,
            reason="failing",
            failing_since=row.failing_since.isoformat(),
        )
    return len(rows)
