"""Slow receivers wait for one another, and leave room for the others."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest

from notifier.pipeline.bulkheads import Bulkheads
from tests.pipeline.hands import Hands
from tests.pipeline.stays import Crowded, Stay

FOR_EVER = 3600.0
MANY = 1000


async def test_places_of_one_are_no_places_of_another() -> None:
    bulkheads = Bulkheads(1, MANY, FOR_EVER)
    async with Stay(bulkheads, "slow"), Stay(bulkheads, "fast"):
        pass


async def test_who_finds_the_places_taken_gets_the_next_that_comes_free() -> None:
    bulkheads = Bulkheads(2, MANY, FOR_EVER)
    inside = most = 0

    async def visit() -> None:
        nonlocal inside, most
        async with Stay(bulkheads, "a"):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(visit() for _ in range(20)))
    assert most == 2


async def test_who_waits_behind_one_that_hangs_goes_away() -> None:
    bulkheads = Bulkheads(1, MANY, watch=0.01)
    async with Stay(bulkheads, "a"):
        with pytest.raises(Crowded):
            await Stay(bulkheads, "a").__aenter__()


async def test_behind_a_receiver_that_hangs_nobody_waits_any_more() -> None:
    clock = Hands()
    bulkheads = Bulkheads(1, MANY, FOR_EVER, clock)
    async with Stay(bulkheads, "a"):
        clock.now += FOR_EVER
        # would wait for an hour, if it waited
        with pytest.raises(Crowded):
            await Stay(bulkheads, "a").__aenter__()


async def test_behind_one_that_is_busy_but_quick_everybody_waits() -> None:
    clock = Hands()
    bulkheads = Bulkheads(1, MANY, watch=60, clock=clock)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(Stay(bulkheads, "a"))
        waiting = [asyncio.create_task(visit(bulkheads, clock, seconds=1)) for _ in range(50)]
        await asyncio.sleep(0)
        clock.now += 1
    await asyncio.gather(*waiting)
    assert clock.now > 150


async def test_who_would_be_rung_for_again_no_sooner_waits_for_a_receiver_that_takes_its_time() -> None:
    clock = Hands()
    bulkheads = Bulkheads(1, MANY, clock=clock)
    late: list[asyncio.Task[None]] = []

    async def bring() -> None:
        async with Stay(bulkheads, "a"):  # after three seconds of two each
            late.extend(asyncio.create_task(visit(bulkheads, clock, seconds=0.5)) for _ in range(40))
            await asyncio.sleep(0)

    async with Stay(bulkheads, "a"):
        first = [asyncio.create_task(visit(bulkheads, clock, seconds=0.5)) for _ in range(6)]
        last = asyncio.create_task(bring())
        await asyncio.sleep(0)
    await asyncio.gather(*first, last)
    await asyncio.gather(*late)


async def visit(bulkheads: Bulkheads, clock: Hands, seconds: float) -> None:
    async with Stay(bulkheads, "a"):
        clock.now += seconds


async def test_an_old_pace_is_forgotten() -> None:
    clock = Hands()
    bulkheads = Bulkheads(1, MANY, watch=10, clock=clock)
    first = Stay(bulkheads, "a")
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
                await Stay(bulkheads, "a").__aenter__()
        except TimeoutError:
            continue
        except Crowded:
            break
    else:
        pytest.fail("a hundred quick ones of long ago still count")
    ended.set()
    await last


async def hold(bulkheads: Bulkheads, until: asyncio.Event) -> None:
    async with Stay(bulkheads, "a"):
        await until.wait()


async def test_a_visitor_who_is_cancelled_leaves_nothing_behind() -> None:
    bulkheads = Bulkheads(1, MANY, FOR_EVER)
    async with Stay(bulkheads, "a"):
        task = asyncio.create_task(hold(bulkheads, asyncio.Event()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with Stay(bulkheads, "a"):
        pass
    assert bulkheads._rooms == {}


WATCH = 2.0
PLACES, TOTAL = 200, 800
FEW = 10


class House:
    """Rooms as a worker has them, on a clock that is set by hand, and who is in them."""

    def __init__(self) -> None:
        self.clock = Hands()
        self.bulkheads = Bulkheads(PLACES, TOTAL, WATCH, self.clock)
        self.inside: Counter[str] = Counter()
        self.leave: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.guests: list[asyncio.Task[None]] = []

    async def come(self, key: str, count: int) -> None:
        """Have so many visitors come to a room, who stay until the room's event is set."""
        self.guests += [asyncio.create_task(self._visit(key)) for _ in range(count)]
        await breathe()

    async def stay(self, key: str, count: int, seconds: float) -> None:
        """Have so many visitors, one after the other, each stay for so long."""
        for _ in range(count):
            async with Stay(self.bulkheads, key):
                self.clock.now += seconds

    async def _visit(self, key: str) -> None:
        with suppress(Crowded):
            async with Stay(self.bulkheads, key):
                self.inside[key] += 1
                await self.leave[key].wait()
                self.inside[key] -= 1

    async def end(self) -> None:
        """Have all go."""
        for guest in self.guests:
            guest.cancel()
        await asyncio.gather(*self.guests, return_exceptions=True)
        assert self.bulkheads._rooms == {}
        assert self.bulkheads._free == TOTAL


async def breathe() -> None:
    """Let everybody do what can be done now."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """Yield empty rooms."""
    opened = House()
    yield opened
    await opened.end()


async def test_who_is_alone_may_have_all_places_of_a_room_at_once(house: House) -> None:
    await house.come("slow", 500)
    assert house.inside == {"slow": PLACES}


@pytest.mark.parametrize("hanging", [4, 5, 20, 100])
async def test_however_many_hang_one_more_room_gets_its_first_places(house: House, hanging: int) -> None:
    for number in range(hanging):
        await house.come(f"hangs {number}", 500)
    await house.come("well", 500)
    # three rooms take all but the last quarter; the others their few
    assert house.inside.total() == 3 * PLACES + (hanging - 3) * FEW + FEW
    assert house.inside["well"] == FEW


async def test_a_room_whose_visitors_are_quick_gets_more_although_others_hang(house: House) -> None:
    for number in range(5):
        await house.come(f"hangs {number}", 500)
    await house.come("well", 1)
    await house.stay("well", 100, seconds=0.01)
    await house.come("well", 500)
    assert house.inside["well"] == FEW + 100


async def test_what_a_room_has_earned_is_lost_when_it_hangs(house: House) -> None:
    for number in range(5):
        await house.come(f"hangs {number}", 500)
    await house.come("well", 1)
    await house.stay("well", 100, seconds=0.01)
    await house.stay("well", 1, seconds=20)
    await house.come("well", 500)
    assert house.inside["well"] == FEW


async def test_who_leaves_with_an_error_has_earned_nothing(house: House) -> None:
    for number in range(5):
        await house.come(f"hangs {number}", 500)
    await house.come("well", 1)
    for _ in range(100):
        with suppress(Crowded):
            async with Stay(house.bulkheads, "well"):
                raise Crowded
    await house.come("well", 500)
    assert house.inside["well"] == FEW


async def test_what_those_who_hang_give_back_is_for_who_waits_once_one_of_them_leaves(house: House) -> None:
    for number in range(3):
        await house.come(f"hangs {number}", PLACES)
    async with Stay(house.bulkheads, "busy"):
        await house.come("busy", 500)
        house.leave["hangs 0"].set()
        await breathe()
        assert house.inside == {"hangs 0": 0, "hangs 1": PLACES, "hangs 2": PLACES, "busy": FEW - 1}
    await breathe()
    assert house.inside["busy"] == PLACES
