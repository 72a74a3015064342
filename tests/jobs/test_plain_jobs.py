"""Jobs whose function is a plain one: the future that it returns is the job."""

import asyncio
from collections import Counter
from collections.abc import Callable
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from notifier import jobs
from notifier.jobs import Job
from tests.jobs.crew import PROJECT, Crew
from tests.processes import until


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
        begun.append(future())
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
