"""Deadlines tell what takes too long, and nothing else."""

import asyncio

from notifier.clock import monotonic
from notifier.deadlines import TICK, Deadlines
from tests.processes import until


async def test_what_is_late_is_told_so_once_and_not_before_its_time() -> None:
    deadlines, told = Deadlines(), list[float]()
    began = monotonic()
    deadline = deadlines.call_in(0.05, lambda: told.append(monotonic() - began))
    await until(lambda: bool(told))
    await asyncio.sleep(2 * TICK)
    (after,) = told
    assert after >= 0.05
    assert deadline.passed


async def test_what_has_ended_in_time_is_told_nothing() -> None:
    deadlines, told = Deadlines(), list[str]()
    ended = deadlines.call_in(0, lambda: told.append("ended"))
    deadlines.call_in(0, lambda: told.append("late"))
    ended.cancel()
    await until(lambda: bool(told))
    ended.cancel()
    assert (told, ended.passed) == (["late"], False)


async def test_each_of_many_has_its_own_deadline() -> None:
    deadlines, told = Deadlines(), set[int]()
    for number, seconds in enumerate((0.01, 3600, 0.02, 3600)):
        deadlines.call_in(seconds, lambda number=number: told.add(number))  # type: ignore[misc]
    await until(lambda: len(told) == 2)
    await asyncio.sleep(2 * TICK)
    assert told == {0, 2}


async def test_one_that_ends_another_one_of_the_same_moment_has_its_way() -> None:
    deadlines, told = Deadlines(), list[str]()
    both = []

    def late() -> None:
        told.append("late")
        for one in both:
            one.cancel()

    both += [deadlines.call_in(0, late), deadlines.call_in(0, late)]
    await until(lambda: bool(told))
    await asyncio.sleep(2 * TICK)
    assert told == ["late"]


async def test_one_that_fails_costs_the_others_nothing() -> None:
    deadlines, told = Deadlines(), list[str]()
    for late in (lambda: told.remove("nobody"), lambda: told.append("late")):
        deadlines.call_in(0, late)
    await until(lambda: told == ["late"])


async def test_nothing_is_looked_at_when_nothing_is_left() -> None:
    deadlines = Deadlines()
    deadlines.call_in(0, lambda: None)
    await until(lambda: deadlines._timer is None)
    told: list[str] = []
    deadlines.call_in(0, lambda: told.append("again"))
    await until(lambda: told == ["again"])
