"""Transactions of many jobs share a round trip and stay transactions of their own."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.exceptions import ResponseError

from notifier import jobs
from notifier.jobs.coalescing import CoalescingRedis


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[CoalescingRedis]:
    """Yield a worker's connection to an empty Redis."""
    client = jobs.connect_worker(redis_url)
    yield client
    await client.aclose(close_connection_pool=True)


async def count_up(redis: CoalescingRedis, key: str, times: int = 1) -> list[int]:
    async with redis.pipeline(transaction=True) as pipe:
        for _ in range(times):
            pipe.incr(key)
        return await pipe.execute()


async def reads(redis: CoalescingRedis) -> int:
    return int((await redis.info("stats"))["total_reads_processed"])


async def test_each_caller_gets_the_answers_to_its_own_commands(redis: CoalescingRedis) -> None:
    answers = await asyncio.gather(*(count_up(redis, f"key {n}", n % 3 + 1) for n in range(300)))
    assert answers == [list(range(1, n % 3 + 2)) for n in range(300)]


async def test_the_transactions_of_one_turn_of_the_loop_share_a_round_trip(redis: CoalescingRedis) -> None:
    await count_up(redis, "warm")
    before = await reads(redis)
    await asyncio.gather(*(count_up(redis, f"key {n}") for n in range(100)))
    assert await reads(redis) - before <= 5


async def test_a_command_that_fails_is_the_error_of_its_own_transaction_only(redis: CoalescingRedis) -> None:
    await redis.set("text", "not a number")
    answers = await asyncio.gather(
        count_up(redis, "a"), count_up(redis, "text"), count_up(redis, "b"), return_exceptions=True
    )
    assert answers[0] == answers[2] == [1]
    assert isinstance(answers[1], ResponseError)


async def test_a_command_that_is_refused_is_the_error_of_its_own_transaction_only(
    redis: CoalescingRedis,
) -> None:
    async def wrong() -> None:
        async with redis.pipeline(transaction=True) as pipe:
            pipe.incr("never")
            pipe.execute_command("NO-SUCH-COMMAND")
            await pipe.execute()

    answers = await asyncio.gather(
        count_up(redis, "a"), wrong(), count_up(redis, "b"), return_exceptions=True
    )
    assert answers[0] == answers[2] == [1]
    assert isinstance(answers[1], ResponseError)
    assert await redis.get("never") is None


async def test_one_who_is_cancelled_takes_nothing_from_the_others(redis: CoalescingRedis) -> None:
    tasks = [asyncio.create_task(count_up(redis, f"key {n}")) for n in range(20)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [answer for n, answer in enumerate(answers) if n != 3] == [[1]] * 19


async def test_a_watched_transaction_is_run_as_redis_py_runs_it(redis: CoalescingRedis) -> None:
    async with redis.pipeline(transaction=True) as pipe:
        await pipe.watch("key")
        assert not await pipe.exists("key")
        pipe.multi()
        pipe.incr("key")
        assert await pipe.execute() == [1]
