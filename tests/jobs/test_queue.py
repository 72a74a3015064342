"""The doorbell: what is written to Redis is what arq itself would write."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix
from arq.worker import Worker, func

from notifier import jobs
from notifier.clock import utc_now
from notifier.jobs import Job, Queue

PROJECT = UUID(int=7)


@pytest.fixture
async def queue(redis_url: str) -> AsyncIterator[Queue]:
    """Yield a queue on an empty Redis."""
    opened = jobs.connect(redis_url)
    yield opened
    await opened.aclose()


@pytest.fixture
async def arq(redis_url: str) -> AsyncIterator[ArqRedis]:
    """Yield arq's own client, with the serializer that the workers use."""
    pool = jobs.connect_worker(redis_url)
    pool.default_queue_name = jobs.DELIVERY_QUEUE
    yield pool
    await pool.aclose(close_connection_pool=True)


def some(count: int) -> list[Job]:
    return [Job(PROJECT, uuid4(), 1) for _ in range(count)]


async def test_a_ring_writes_what_arqs_own_enqueue_writes(queue: Queue, arq: ArqRedis) -> None:
    ours, theirs = some(2)
    before = int(utc_now().timestamp() * 1000)
    await queue.ring([ours])
    await arq.enqueue_job(jobs.DELIVER, PROJECT.hex, theirs.delivery_id.hex, _job_id=theirs.id)
    after = int(utc_now().timestamp() * 1000)

    assert {key.decode() for key in await arq.keys("*")} == {
        jobs.DELIVERY_QUEUE,
        job_key_prefix + ours.id,
        job_key_prefix + theirs.id,
    }
    read = {job.id: await content(arq, job) for job in (ours, theirs)}
    for job in (ours, theirs):
        written = read[job.id]
        assert written["definition"].pop("et") == written["score"]
        assert before - 1 <= written["score"] <= after + 1  # arq rounds where we cut
        assert 86_400_000 - 5_000 < written["ttl"] <= 86_400_000
        assert written["definition"].pop("a") == [PROJECT.hex, job.delivery_id.hex]
        assert written["definition"].pop("k") == {}
    assert read[ours.id]["definition"] == read[theirs.id]["definition"]
    assert read[ours.id]["type"] == read[theirs.id]["type"]


async def content(arq: ArqRedis, job: Job) -> dict[str, Any]:
    """Return all that Redis holds about a job."""
    key = job_key_prefix + job.id
    raw = await arq.get(key)
    assert raw is not None
    return {
        "definition": jobs.deserialize(raw),
        "type": await arq.type(key),
        "ttl": await arq.pttl(key),
        "score": await arq.zscore(jobs.DELIVERY_QUEUE, job.id),
    }


@pytest.mark.filterwarnings("ignore:Call to deprecated close")  # arq's own
async def test_an_unmodified_arq_worker_takes_what_was_rung(queue: Queue, redis_url: str) -> None:
    taken: list[tuple[str, str]] = []

    async def deliver(_ctx: dict[str, Any], project_id: str, delivery_id: str) -> None:
        taken.append((project_id, delivery_id))

    rung = some(20)
    await queue.ring(rung)
    worker = Worker(
        functions=[func(deliver, name=jobs.DELIVER)],
        queue_name=jobs.DELIVERY_QUEUE,
        redis_pool=jobs.connect_worker(redis_url),
        job_serializer=jobs.serialize,
        job_deserializer=jobs.deserialize,
        burst=True,
        poll_delay=0.01,
        handle_signals=False,
    )
    await worker.main()
    await worker.close()
    assert sorted(taken) == sorted((PROJECT.hex, job.delivery_id.hex) for job in rung)
    assert worker.jobs_failed == 0


async def test_the_same_ring_twice_is_one_job(queue: Queue, arq: ArqRedis) -> None:
    (job,) = some(1)
    await queue.ring([job])
    first = await content(arq, job)
    await asyncio.sleep(0.005)
    await queue.ring([job, job])
    assert await arq.zcard(jobs.DELIVERY_QUEUE) == 1
    assert (await content(arq, job))["score"] == first["score"]


async def test_another_ring_for_the_same_delivery_is_another_job(queue: Queue, arq: ArqRedis) -> None:
    (job,) = some(1)
    await queue.ring([job])
    await queue.ring([Job(job.project_id, job.delivery_id, 2)])
    assert await arq.zcard(jobs.DELIVERY_QUEUE) == 2


async def test_lost_are_the_jobs_that_neither_wait_nor_can_be_trusted_to_run(queue: Queue) -> None:
    waiting, begun, begun_and_gone, never_rung, done = some(5)
    await queue.ring([waiting, begun, done])
    for job in (begun, begun_and_gone):
        await queue.redis.set(in_progress_key_prefix + job.id, b"1")
    await queue.redis.zrem(queue.name, done.id)
    everything = [waiting, begun, begun_and_gone, never_rung, done]
    assert await queue.lost(everything) == [begun, begun_and_gone, never_rung, done]
    assert await queue.lost([]) == []


@pytest.fixture
def round_trips(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which every command that is sent is added."""
    sent: list[str] = []
    execute = queue.redis.execute_command

    async def counting(*command: Any, **options: Any) -> Any:
        sent.append(command[0])
        return await execute(*command, **options)

    monkeypatch.setattr(queue.redis, "execute_command", counting)
    return sent


async def test_1200_jobs_go_in_three_round_trips(queue: Queue, round_trips: list[str]) -> None:
    rung = some(1200)  # 500 + 500 + 200
    await queue.ring(rung)
    assert round_trips == ["EVAL"] * 3
    assert await queue.lost(rung) == []
    assert round_trips == ["EVAL"] * 6
    assert await queue.redis.zcard(queue.name) == 1200


async def test_no_jobs_are_no_round_trip(queue: Queue, round_trips: list[str]) -> None:
    await queue.ring([])
    assert round_trips == []


async def test_a_payload_holds_two_ids_and_no_pickle(queue: Queue) -> None:
    (job,) = some(1)
    await queue.ring([job])
    raw = await queue.redis.get(job_key_prefix + job.id)
    assert raw is not None
    assert jobs.deserialize(raw)["f"] == jobs.DELIVER
    assert b"pickle" not in raw
    assert raw[:2] != b"\x80\x04"  # how pickles begin


async def test_a_redis_that_is_away_is_given_up_quickly() -> None:
    nobody = jobs.connect("redis://127.0.0.1:1/0")
    started = asyncio.get_running_loop().time()
    with pytest.raises(Exception, match="onnect"):
        await nobody.ring(some(1))
    assert asyncio.get_running_loop().time() - started < 3
    await nobody.aclose()
