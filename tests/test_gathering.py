"""Many small waits become one, and none of them is harmed by another."""

import asyncio
from collections.abc import Sequence

import pytest

from notifier.gathering import Batcher, Gatherer
from tests.processes import until


class Work:
    """Doubles numbers, remembers its batches, and waits or fails if told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.error: Exception | None = None
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        await self.go.wait()
        if self.error:
            raise self.error
        return [2 * item for item in items]


async def test_calls_of_one_window_are_done_together_and_each_gets_its_own_result() -> None:
    work = Work()
    double = Gatherer(work, window=0.001, most=100)
    assert await asyncio.gather(*(double(n) for n in range(10))) == [2 * n for n in range(10)]
    assert work.batches == [list(range(10))]


async def test_a_full_batch_does_not_wait_for_the_window() -> None:
    work = Work()
    double = Gatherer(work, window=60, most=4)
    assert await asyncio.gather(*(double(n) for n in range(8))) == [2 * n for n in range(8)]
    assert work.batches == [[0, 1, 2, 3], [4, 5, 6, 7]]


async def test_one_who_is_cancelled_cancels_nobody_else() -> None:
    work = Work()
    work.go.clear()
    double = Gatherer(work, window=0, most=3)
    first, second, third = (asyncio.create_task(double(n)) for n in range(3))
    while not work.batches:
        await asyncio.sleep(0)
    second.cancel()
    work.go.set()
    assert await asyncio.gather(first, third) == [0, 4]
    with pytest.raises(asyncio.CancelledError):
        await second


async def test_an_error_of_the_batch_is_the_error_of_each() -> None:
    work = Work()
    work.error = ValueError("away")
    double = Gatherer(work, window=0, most=10)
    answers = await asyncio.gather(*(double(n) for n in range(3)), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["away"] * 3
    work.error = None
    assert await double(4) == 8


async def test_a_result_comes_only_after_the_work_has_ended() -> None:
    work = Work()
    work.go.clear()
    double = Gatherer(work, window=0, most=10)
    waiting = asyncio.create_task(double(1))
    while not work.batches:
        await asyncio.sleep(0)
    assert not waiting.done()
    work.go.set()
    assert await waiting == 2


async def test_what_comes_while_enough_batches_run_grows_the_next_one() -> None:
    work = Work()
    work.go.clear()
    double = Gatherer(work, window=0, most=100, at_once=1)
    first = asyncio.create_task(double(0))
    while not work.batches:
        await asyncio.sleep(0)
    later = [asyncio.create_task(double(n)) for n in range(1, 6)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert work.batches == [[0]]
    work.go.set()
    assert await asyncio.gather(first, *later) == [0, 2, 4, 6, 8, 10]
    assert work.batches == [[0], [1, 2, 3, 4, 5]]


async def test_a_second_batch_begins_once_the_first_one_takes_long() -> None:
    began: dict[int, float] = {}
    go = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def work(items: Sequence[int]) -> None:
        began[items[0]] = loop.time()
        await go.wait()

    batcher = Batcher(work, window=0, most=2, at_once=2, patience=0.1)
    start = loop.time()
    for n in range(6):
        batcher.add(n)
    await until(lambda: list(began) == [0, 2])
    assert began[2] - start >= 0.1
    go.set()
    await until(lambda: list(began) == [0, 2, 4])


async def test_the_next_batch_does_not_wait_when_the_first_one_has_ended() -> None:
    done: list[int] = []

    async def work(items: Sequence[int]) -> None:
        done.extend(items)

    batcher = Batcher(work, window=0, most=2, patience=60)
    for n in range(6):
        batcher.add(n)
    await until(lambda: done == [0, 1, 2, 3, 4, 5])


async def test_an_error_among_the_results_is_that_of_one_caller_only() -> None:
    async def halve(items: Sequence[int]) -> list[int | Exception]:
        return [ValueError(item) if item % 2 else item // 2 for item in items]

    call = Gatherer(halve, window=0.001, most=100)
    found = await asyncio.gather(*(call(n) for n in (2, 3, 4)), return_exceptions=True)
    assert (found[0], str(found[1]), found[2]) == (1, "3", 2)


async def test_a_batch_whose_work_raises_does_not_stop_the_next_one() -> None:
    done: list[int] = []
    reported: list[dict[str, object]] = []

    async def work(items: Sequence[int]) -> None:
        if 0 in items:
            raise ValueError("away")
        done.extend(items)

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    try:
        batcher = Batcher(work, window=0, most=2, at_once=1)
        for n in range(5):
            batcher.add(n)
        await until(lambda: done == [2, 3, 4])
        await until(lambda: not batcher._running)
    finally:
        loop.set_exception_handler(None)
    batcher.add(5)
    await until(lambda: done[-1] == 5)
    assert [str(context["exception"]) for context in reported] == ["away"], "nobody hears of it"


async def test_items_come_in_their_order_and_no_batch_is_larger_than_it_may_be() -> None:
    batches: list[list[int]] = []

    async def work(items: Sequence[int]) -> None:
        batches.append(list(items))
        await asyncio.sleep(0)

    batcher = Batcher(work, window=0, most=3, at_once=2)
    for n in range(20):
        batcher.add(n)
    await until(lambda: sum(map(len, batches)) == 20)
    assert [item for batch in batches for item in batch] == list(range(20))
    assert max(map(len, batches)) == 3
