"""Workers on one queue, and what each of them did."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

from arq.worker import Worker, func

from notifier import jobs
from notifier.jobs import Job
from notifier.jobs.batch_worker import BatchWorker

if TYPE_CHECKING:
    from arq.typing import WorkerCoroutine

PROJECT = UUID(int=7)
Start = Callable[[str], asyncio.Future[None]]


class Crew:
    """Workers on one queue, and what each of them did."""

    def __init__(self, redis_url: str) -> None:
        self.redis_url = redis_url
        self.done: Counter[str] = Counter()
        self.running = self.most_running = 0

    def worker(self, kind: type[Worker], **options: Any) -> Worker:
        async def deliver(_ctx: dict[str, Any], _project_id: str, delivery_id: str) -> None:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            await asyncio.sleep(0.001)
            self.running -= 1
            self.done[delivery_id] += 1

        options = {"burst": True, **options}
        return kind(
            functions=[func(deliver, name=jobs.DELIVER, max_tries=1)],
            queue_name=jobs.DELIVERY_QUEUE,
            redis_pool=jobs.connect_worker(self.redis_url),
            job_serializer=jobs.serialize,
            job_deserializer=jobs.deserialize,
            poll_delay=0.005,
            keep_result=0,
            handle_signals=False,
            **options,
        )

    def plain_worker(self, start: Start, **options: Any) -> BatchWorker:
        """Return a worker whose job function is a plain one: it returns a future."""
        worker = self.worker(BatchWorker, **options)
        assert isinstance(worker, BatchWorker)

        def begin(_ctx: dict[str, Any], _project_id: str, delivery_id: str) -> asyncio.Future[None]:
            return start(delivery_id)

        known = worker.functions[jobs.DELIVER]
        worker.functions[jobs.DELIVER] = replace(known, coroutine=cast("WorkerCoroutine", begin))
        return worker

    async def ring(self, count: int) -> list[str]:
        rung = [Job(PROJECT, uuid4(), 1) for _ in range(count)]
        queue = jobs.connect(self.redis_url)
        await queue.ring(rung)
        await queue.aclose()
        return [job.delivery_id.hex for job in rung]

    async def keys(self) -> list[bytes]:
        queue = jobs.connect(self.redis_url)
        keys: list[bytes] = await queue.redis.keys("*")
        await queue.aclose()
        return keys
