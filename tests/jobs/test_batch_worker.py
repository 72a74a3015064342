"""Jobs are taken many at a time, each by one worker, and arq's own worker can share the queue."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from signal import Signals
from typing import Any

import pytest
from arq.constants import in_progress_key_prefix, job_key_prefix
from arq.worker import Worker

from notifier import jobs
from notifier.jobs import batch_worker
from notifier.jobs.batch_worker import BatchWorker
from tests.jobs.crew import Crew
from tests.processes import until


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
async def test_a_worker_that_is_told_to_end_passes_it_on_at_once(crew: Crew) -> None:
    worker = crew.worker(BatchWorker, max_jobs=1)
    told: list[bool] = []
    worker.ctx["on_signal"] = lambda: told.append(worker.allow_pick_jobs)
    worker.handle_sig_wait_for_completion(Signals.SIGTERM)
    assert told == [False]
    await worker.close()


@pytest.mark.filterwarnings("ignore:Call to deprecated close")
async def test_what_a_worker_cannot_begin_soon_is_left_to_others_unless_its_jobs_hang(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_worker, "MOST", 20)
    monkeypatch.setattr(batch_worker, "SLOW_SECONDS", 60.0)
    await crew.ring(50)
    hanging: list[asyncio.Future[None]] = []

    def hang(_delivery_id: str) -> asyncio.Future[None]:
        hanging.append(asyncio.get_running_loop().create_future())
        return hanging[-1]

    worker = crew.plain_worker(hang, max_jobs=40, burst=False)
    running = asyncio.create_task(worker.main())
    await until(lambda: len(hanging) == 20)
    for one in hanging[:5]:
        one.set_result(None)
    await until(lambda: len(hanging) == 25)
    assert len(worker.tasks) == 20
    # whatever hangs keeps nobody out, however few places are left
    monkeypatch.setattr(batch_worker, "SLOW_SECONDS", 0.0)
    await until(lambda: len(worker.tasks) == 40)
    assert len(hanging) == 45
    for one in hanging[5:]:
        one.set_result(None)
    await until(lambda: len(hanging) == 50)
    for one in hanging[45:]:
        one.set_result(None)
    running.cancel()
    await worker.close()


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


@pytest.mark.filterwarnings("ignore:Call to deprecated close")
async def test_a_worker_ends_even_if_its_cancel_comes_while_something_swallows_it(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = crew.worker(BatchWorker, burst=False)
    asked = asyncio.Event()

    async def swallow(*_: object) -> list[list[bytes]]:
        """Answer once in spite of a cancel, as `wait_for` of Python 3.11 does when both come at once."""
        if asked.is_set():
            await asyncio.sleep(60)
        asked.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return [[], []]

    monkeypatch.setattr(worker.pool, "eval", swallow)
    running = asyncio.create_task(worker.main())
    await asked.wait()
    running.cancel()
    assert await asyncio.wait([running], timeout=10) == ({running}, set())
    assert running.cancelled()
    await worker.close()
