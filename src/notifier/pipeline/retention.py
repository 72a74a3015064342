"""History that is older than it has to be kept goes, in small transactions that nobody has to wait for."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from notifier.clock import id_of_age
from notifier.storage import retention
from notifier.storage.engine import Database, Session
from notifier.storage.retention import Limit

log = structlog.get_logger(__name__)

BATCH = 1000
REST_SECONDS = 0.1
"""Between two full batches: the disk is there for those who send."""


@dataclass(frozen=True, slots=True)
class Removed:
    """How many rows of each kind one pass has deleted."""

    deliveries: int
    revisions: int
    exceptions: int
    notifications: int


async def run(database: Database, days: int, *, batch: int = BATCH, rest: float = REST_SECONDS) -> Removed:
    """Delete what ended more than `days` days ago; any number of passes may run at once.

    Deliveries go first: what they refer to can only go after them. Tombstones go last.
    """
    pass_ = _Pass(database, Limit(days, id_of_age(timedelta(days=days).total_seconds())), batch, rest)
    removed = Removed(
        await pass_.deliveries(),
        await pass_.all_of(retention.delete_revisions),
        await pass_.all_of(retention.delete_exceptions),
        await pass_.all_of(retention.delete_tombstones),
    )
    if any(asdict(removed).values()):
        log.info("history.removed", days=days, **asdict(removed))
    return removed


@dataclass(frozen=True, slots=True)
class _Pass:
    """One pass: each batch is a transaction of its own, with a rest after it."""

    database: Database
    limit: Limit
    batch: int
    rest: float

    async def deliveries(self) -> int:
        """Delete the old deliveries of all projects; return how many."""
        async with self.database.transaction() as session:
            projects = await retention.projects(session, self.limit)
        return sum([await self._of_project(one) for one in projects])

    async def _of_project(self, project_id: UUID) -> int:
        removed, after = 0, UUID(int=0)
        while True:
            async with self.database.transaction() as session:
                gone = await retention.delete_deliveries(
                    session, project_id, self.limit, after=after, batch=self.batch
                )
            removed += len(gone)
            if len(gone) < self.batch:
                return removed
            after = gone[-1]
            await asyncio.sleep(self.rest)

    async def all_of(self, delete: Callable[[Session, Limit, int], Awaitable[int]]) -> int:
        """Delete with a statement until it finds less than a batch; return how many."""
        removed = 0
        while True:
            async with self.database.transaction() as session:
                gone = await delete(session, self.limit, self.batch)
            removed += gone
            if gone < self.batch:
                return removed
            await asyncio.sleep(self.rest)
