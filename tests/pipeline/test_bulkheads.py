"""Slow receivers wait for one another, and leave room for the others."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from notifier.pipeline.bulkheads import Bulkheads, Crowded

FOR_EVER = 3600.0


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_places_of_one_are_no_places_of_another() -> None:
    bulkheads = Bulkheads(1, FOR_EVER)
    async with bulkheads.place("slow"), bulkheads.place("fast"):
        pass


async def test_who_finds_the_places_taken_gets_the_next_that_comes_free() -> None:
    bulkheads = Bulkheads(2, FOR_EVER)
    inside = most = 0

    async def visit() -> None:
        nonlocal inside, most
        async with bulkheads.place("a"):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(visit() for _ in range(20)))
    assert most == 2


async def test_who_waits_behind_one_that_hangs_goes_away() -> None:
    bulkheads = Bulkheads(1, watch=0.01)
    async with bulkheads.place("a"):
        with pytest.raises(Crowded):
            await bulkheads.place("a").__aenter__()


async def test_behind_a_receiver_that_hangs_nobody_waits_any_more() -> None:
    clock = Hands()
    bulkheads = Bulkheads(1, FOR_EVER, clock)
    async with bulkheads.place("a"):
        clock.now += FOR_EVER
        # would wait for an hour, if it waited
        with pytest.raises(Crowded):
            await bulkheads.place("a").__aenter__()


async def test_behind_one_that_is_busy_but_quick_everybody_waits() -> None:
    clock = Hands()
    bulkheads = Bulkheads(1, watch=60, clock=clock)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(bulkheads.place("a"))
        waiting = [asyncio.create_task(visit(bulkheads, clock, seconds=1)) for _ in range(50)]
        await asyncio.sleep(0)
        clock.now += 1
    await asyncio.gather(*waiting)
    assert clock.now > 150


async def visit(bulkheads: Bulkheads, clock: Hands, seconds: float) -> None:
    async with bulkheads.place("a"):
        clock.now += seconds


async def test_an_old_pace_is_forgotten() -> None:
    clock = Hands()
    bulkheads = Bulkheads(1, watch=10, clock=clock)
    first = bulkheads.place("a")
    await first.__aenter__()
    waiting = [asyncio.create_task(visit(bulkheads, clock, seconds=0.01)) for _ in range(100)]
    await asyncio.sleep(0)
    last = asyncio.create_task(hold(bulkheads, until=(ended := asyncio.Event())))
    await asyncio.sleep(0)
    await first.__aexit__(None, None, None)
    await asyncio.gather(*waiting)
    for _ in range(20):
        clock.now += 30
        try:
            async with asyncio.timeout(0.01):
                await bulkheads.place("a").__aenter__()
        except TimeoutError:
            continue
        except Crowded:
            break
    else:
        pytest.fail("a hundred quick ones of long ago still count")
    ended.set()
    await last


async def hold(bulkheads: Bulkheads, until: asyncio.Event) -> None:
    async with bulkheads.place("a"):
        await until.wait()


async def test_a_visitor_who_is_cancelled_leaves_nothing_behind() -> None:
    bulkheads = Bulkheads(1, FOR_EVER)
    async with bulkheads.place("a"):
        task = asyncio.create_task(hold(bulkheads, asyncio.Event()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with bulkheads.place("a"):
        pass
    assert bulkheads._rooms == {}
