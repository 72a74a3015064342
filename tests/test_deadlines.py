"""Deadlines end what waits for too long, and nothing else."""

import asyncio

import pytest

from notifier.deadlines import TICK, Deadlines


async def test_a_wait_that_takes_too_long_is_ended_and_the_task_goes_on() -> None:
    deadlines = Deadlines()
    for _ in range(2):
        with pytest.raises(TimeoutError), deadlines.within(0.01):
            await asyncio.Event().wait()
    await asyncio.sleep(0)


async def test_a_wait_that_ends_in_time_is_left_alone() -> None:
    deadlines = Deadlines()
    with deadlines.within(3600):
        await asyncio.sleep(2 * TICK)
    with deadlines.within(0):
        pass
    await asyncio.sleep(2 * TICK)


async def test_each_of_many_has_its_own_deadline() -> None:
    deadlines = Deadlines()

    async def wait(seconds: float) -> str:
        try:
            with deadlines.within(seconds):
                await asyncio.sleep(3 * TICK)
        except TimeoutError:
            return "late"
        return "in time"

    assert await asyncio.gather(*map(wait, (0.01, 3600, 0.02, 3600))) == ["late", "in time"] * 2


async def test_an_error_inside_comes_through_as_it_is() -> None:
    deadlines = Deadlines()
    with pytest.raises(KeyError), deadlines.within(3600):
        raise KeyError


async def test_a_cancellation_from_elsewhere_stays_one_even_at_the_deadline() -> None:
    deadlines = Deadlines()

    async def wait(seconds: float) -> None:
        with deadlines.within(seconds):
            await asyncio.Event().wait()

    for seconds in (3600, 0.01):
        task = asyncio.create_task(wait(seconds))
        await asyncio.sleep(0)
        if seconds < 1:
            (deadline,) = deadlines._open
            deadline.expire()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_the_inner_of_two_ends_only_its_own_block() -> None:
    deadlines = Deadlines()
    with deadlines.within(3600):
        with pytest.raises(TimeoutError), deadlines.within(0.01):
            await asyncio.Event().wait()
        await asyncio.sleep(0)


async def test_the_outer_of_two_ends_both() -> None:
    deadlines = Deadlines()
    with pytest.raises(TimeoutError), deadlines.within(0.01), deadlines.within(3600):
        await asyncio.Event().wait()
