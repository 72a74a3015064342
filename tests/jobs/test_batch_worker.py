"""Jobs are taken many at a time, each by one worker, and arq's own worker can share the queue."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

import pytest
from arq.constants import in_progress_key_prefix, job_key_prefix
from arq.worker import Worker, func
from structlog.testing import capture_logs

from notifier import jobs
from notifier.jobs import Job
from notifier.jobs.batch_worker import BatchWorker
from tests.processes import until

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


@pytest.fixture
def crew(redis_url: str) -> Crew:
    """Return a crew without workers yet, on an empty queue."""
    return Crew(redis_url)


@pytest.mark.filterwarnings("ignore:Call to deprecated close")  # arq's own
@pytest.mark.parametrize(
    "kinds",
    [(BatchWorker,), (BatchWorker, BatchWorker), (BatchWorker, Worker)],
    ids=["one", "two", "with arq's"],
)
async def test_every_job_is_run_once_and_leaves_nothing_behind(
    crew: Crew, kinds: tuple[type[Worker], ...]
) -> None:
    rung = await crew.ring(500)
    workers = [crew.worker(kind, max_jobs=50) for kind in kinds]
    await asyncio.gather(*(worker.main() for worker in workers))
    assert crew.done == Counter(rung)
    for worker in workers:
        await worker.close()
    assert await crew.keys() == []


@pytest.mark.filterwarnings("ignore:Call to deprecated close")
async def test_no_more_jobs_run_at_once_than_there_are_places(crew: Crew) -> None:
    await crew.ring(100)
    worker = crew.worker(BatchWorker, max_jobs=7)
    await worker.main()
    await worker.close()
    assert crew.most_running == 7
    assert sum(crew.done.values()) == 100


@pytest.mark.filterwarnings("ignore:Call to deprecated close")
async def test_jobs_that_arqs_own_worker_has_marked_do_not_hide_the_rest(crew: Crew) -> None:
    queue = jobs.connect(crew.redis_url)
    dead = await crew.ring(50)
    for delivery_id in dead:
        await queue.redis.set(f"{in_progress_key_prefix}{delivery_id}:1", b"1")
    rung = await crew.ring(20)
    worker = crew.worker(BatchWorker, max_jobs=5, burst=False)
    running = asyncio.create_task(worker.main())
    while crew.done.total() < len(rung):
        await asyncio.sleep(0.01)
    running.cancel()
    await worker.close()
    await queue.aclose()
    assert crew.done == Counter(rung)


@pytest.mark.filterwarnings("ignore:Call to deprecated close")
async def test_a_ring_by_a_host_whose_clock_is_an_hour_ahead_is_taken_at_once(crew: Crew) -> None:
    rung = await crew.ring(3)
    queue = jobs.connect(crew.redis_url)
    for job_id, _ in await queue.redis.zrange(jobs.DELIVERY_QUEUE, 0, -1, withscores=True):
        await queue.redis.zincrby(jobs.DELIVERY_QUEUE, 3_600_000, job_id)
    worker = crew.worker(BatchWorker, burst=False)
    running = asyncio.create_task(worker.main())
    async with asyncio.timeout(20):
        while crew.done.total() < len(rung):
            await asyncio.sleep(0.01)
    running.cancel()
    await worker.close()
    await queue.aclose()
    assert crew.done == Counter(rung)


@pytest.mark.filterwarnings("ignore:Call to deprecated close")
async def test_a_job_that_makes_no_sense_is_dropped_and_ends_nobody_else(crew: Crew) -> None:
    queue = jobs.connect(crew.redis_url)
    await queue.redis.set(f"{job_key_prefix}nonsense", b"\xc1nonsense")
    await queue.redis.zadd(jobs.DELIVERY_QUEUE, {"nonsense": 1})
    rung = await crew.ring(3)
    worker = crew.worker(BatchWorker)
    await worker.main()
    await worker.close()
    await queue.aclose()
    assert (crew.done, await crew.keys()) == (Counter(rung), [])


@pytest.mark.filterwarnings("ignore:Call to deprecated close")
async def test_a_job_that_runs_for_too_long_is_ended_and_its_place_is_free_again(crew: Crew) -> None:
    rung = await crew.ring(20)
    worker = crew.worker(BatchWorker, max_jobs=1, job_timeout=0.1)
    stuck: list[str] = []
    function = worker.functions[jobs.DELIVER]

    async def hang_first(ctx: dict[str, Any], project_id: str, delivery_id: str) -> None:
        if not stuck:
            stuck.append(delivery_id)
            await asyncio.Event().wait()
        await function.coroutine(ctx, project_id, delivery_id)

    worker.functions[jobs.DELIVER] = replace(function, coroutine=hang_first)
    async with asyncio.timeout(20):
        await worker.main()
    await worker.close()
    assert crew.done == Counter(set(rung) - set(stuck))


def future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


@pytest.mark.filterwarnings("ignore:Call to deprecated close")
async def test_a_job_that_is_a_future_holds_its_place_until_that_is_done(crew: Crew) -> None:
    rung = await crew.ring(30)
    open_: list[asyncio.Future[None]] = []
    most_open: list[int] = []

    def start(delivery_id: str) -> asyncio.Future[None]:
        open_.append(one := future())
        most_open.append(sum(not each.done() for each in open_))
        crew.done[delivery_id] += 1
        asyncio.get_running_loop().call_later(0.001, one.set_result, None)
        return one

    worker = crew.plain_worker(start, max_jobs=4)
    await worker.main()
    assert max(most_open) == 4
    assert crew.done == Counter(rung)
    assert (worker.jobs_complete, worker.jobs_failed, worker.tasks) == (30, 0, {})
    await worker.close()


@pytest.mark.filterwarnings("ignore:Call to deprecated close")
async def test_a_future_that_is_overdue_is_cancelled_and_its_place_is_free_again(crew: Crew) -> None:
    rung = await crew.ring(20)
    stuck: list[asyncio.Future[None]] = []

    def start(delivery_id: str) -> asyncio.Future[None]:
        one = future()
        if not stuck:
            stuck.append(one)
            return one
        one.set_result(None)
        crew.done[delivery_id] += 1
        return one

    worker = crew.plain_worker(start, max_jobs=1, job_timeout=0.1)
    async with asyncio.timeout(20):
        await worker.main()
    assert stuck[0].cancelled()
    assert (crew.done.total(), worker.jobs_complete, worker.tasks) == (len(rung) - 1, 19, {})
    await worker.close()


@pytest.mark.filterwarnings("ignore:Call to deprecated close")
async def test_a_future_that_is_done_at_once_counts_as_complete(crew: Crew) -> None:
    await crew.ring(20)

    def start(_delivery_id: str) -> asyncio.Future[None]:
        one = future()
        one.set_result(None)
        return one

    worker = crew.plain_worker(start, max_jobs=3)
    async with asyncio.timeout(20):
        await worker.main()
    assert (worker.jobs_complete, worker.jobs_failed, worker.tasks) == (20, 0, {})
    await worker.close()


def raises_at_once(_error: Exception) -> asyncio.Future[None]:
    raise _error


def fails_later(error: Exception) -> asyncio.Future[None]:
    one = future()
    asyncio.get_running_loop().call_soon(one.set_exception, error)
    return one


@pytest.mark.filterwarnings("ignore:Call to deprecated close")
@pytest.mark.parametrize("fail", [raises_at_once, fails_later])
async def test_a_job_that_fails_is_logged_and_ends_nobody_else(
    crew: Crew, fail: Callable[[Exception], asyncio.Future[None]]
) -> None:
    rung = await crew.ring(10)
    bad = sorted(rung)[4]

    def start(delivery_id: str) -> asyncio.Future[None]:
        if delivery_id == bad:
            return fail(ValueError("no such delivery"))
        one = future()
        asyncio.get_running_loop().call_later(0.001, one.set_result, None)
        crew.done[delivery_id] += 1
        return one

    worker = crew.plain_worker(start, burst=False)
    with capture_logs() as logs:
        running = asyncio.create_task(worker.main())
        await until(lambda: worker.jobs_complete == 9)
        await until(lambda: worker.jobs_failed == 1)
        assert not running.done()
        running.cancel()
        await worker.close()
    assert crew.done == Counter(set(rung) - {bad})
    failed = [line["job_id"] for line in logs if line["event"] == "job.failed"]
    assert [job_id.partition(":")[0] for job_id in failed] == [bad]


@pytest.mark.filterwarnings("ignore:Call to deprecated close")
async def test_a_ring_that_comes_twice_takes_nothing_from_the_first(crew: Crew) -> None:
    begun: list[asyncio.Future[None]] = []

    def start(delivery_id: str) -> asyncio.Future[None]:
        begun.append(asyncio.get_running_loop().create_future())
        return begun[-1]

    queue = jobs.connect(crew.redis_url)
    worker = crew.plain_worker(start, burst=False)
    running = asyncio.create_task(worker.main())
    ring = [Job(PROJECT, uuid4(), 1)]
    await queue.ring(ring)
    await until(lambda: len(begun) == 1)
    await queue.ring(ring)
    while await queue.length():
        await asyncio.sleep(0.01)
    assert list(worker.tasks.values()) == begun[:1]
    running.cancel()
    begun[0].set_result(None)
    await worker.close()
    await queue.aclose()
    assert len(begun) == 1
