"""The one place where things are wired, for every process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from notifier import jobs
from notifier.channels import registry
from notifier.channels.capture import Capture
from notifier.channels.registry import Registry
from notifier.pipeline.attempts import Limits
from notifier.pipeline.bookkeeping import Bookkeeping
from notifier.pipeline.bulkheads import Bulkheads
from notifier.pipeline.deliverer import Deliverer
from notifier.pipeline.rehearsal import Rehearsal
from notifier.settings import Settings
from notifier.storage.encryption import Cipher
from notifier.storage.engine import Database

GATHER_SECONDS = 0.004
"""How long outcomes wait for company."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a process works with."""

    settings: Settings
    database: Database
    queue: jobs.Queue
    channels: Registry
    cipher: Cipher

    def deliverer(self) -> Deliverer:
        """Return what sends deliveries."""
        chosen = self.settings
        waits = tuple(timedelta(seconds=wait) for wait in chosen.retry_schedule)
        limits = Limits(chosen.lease_seconds, chosen.longest_send, chosen.longest_recording)
        books = Bookkeeping(self.database, lease=chosen.lease_seconds)
        return Deliverer(
            books,
            self.channels,
            self.cipher,
            waits,
            limits,
            window=GATHER_SECONDS,
            projects=Bulkheads(
                chosen.project_concurrency, chosen.worker_places, ahead=chosen.project_head_start
            ),
            receivers=Bulkheads(chosen.worker_concurrency, chosen.worker_places),
        )

    def rehearsal(self, project_id: UUID, now: datetime) -> Rehearsal:
        """Return what runs the clock of a test project, which stands at `now` (UTC)."""
        return Rehearsal(self.database, self.deliverer(), project_id, now, Capture())


@asynccontextmanager
async def open_runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """Yield the wired parts and close them at the end. Connects to nothing by itself."""
    runtime = Runtime(
        settings,
        Database(settings.database_url, pool_size=settings.database_pool_size),
        jobs.connect(settings.redis_url),
        registry.build(settings),
        Cipher(settings.secret_key.get_secret_value()),
    )
    try:
        yield runtime
    finally:
        await runtime.channels.aclose()
        await runtime.queue.aclose()
        await runtime.database.aclose()
