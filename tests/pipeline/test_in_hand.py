"""Deliveries in a worker's hands: who is cancelled holds no place, and nobody's end depends on another's."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from notifier.domain.delivery import Envelope, Outcome, Reason
from notifier.pipeline import bookkeeping
from notifier.pipeline.bookkeeping import Bookkeeping
from notifier.pipeline.bulkheads import Bulkheads
from notifier.pipeline.deliverer import Deliverer
from notifier.pipeline.in_hand import InHand
from notifier.storage.engine import Database
from tests.house import House, rows_of
from tests.processes import until
from tests.servers import free_port

TOTAL = 10
WATCH = 0.02
NEVER = 3600.0
RECEIVER = ("puppet", "a")
UNTOUCHED = ("pending", 0)
DELIVERED = ("delivered", 1)


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Desk:
    """A deliverer with one place for each project and each receiver, and a gate that sends wait at."""

    house: House
    deliverer: Deliverer
    clock: Hands
    gate: asyncio.Event

    async def plan(self, count: int = 1) -> None:
        """Have deliveries wait, all for one receiver."""
        for _ in range(count):
            await self.house.create_due()
        await self.house.plan()

    async def begin(self) -> InHand:
        """Begin the only delivery."""
        await self.plan()
        (one,) = await all_begun(self.house, self.deliverer)
        return one

    async def hold(self, _envelope: Envelope) -> Outcome:
        """Be a receiver that takes its time."""
        await self.gate.wait()
        return Outcome.delivered()

    async def stands(self, status: str, attempts_made: int) -> bool:
        """Say whether the newest delivery stands so, after so many tries."""
        row = (await self.house.deliveries())[-1]
        return (row.status, row.attempts_made) == (status, attempts_made)

    def rooms_are_empty(self) -> bool:
        """Say whether nobody holds or waits for a place, and all places are there."""
        both = (self.deliverer.projects, self.deliverer.receivers)
        return all(rooms._rooms == {} and rooms._free == TOTAL for rooms in both)


@asynccontextmanager
async def rows_held(house: House) -> AsyncIterator[None]:
    """Keep all rows of the ledger from everybody else."""
    async with house.database.transaction() as session:
        await rows_of(session, "SELECT 1 FROM deliveries FOR UPDATE")
        yield


async def are_waited_for(house: House) -> bool:
    """Say whether somebody waits for a lock in the database."""
    busy = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
    return len(await house.sql(f"{busy} AND wait_event_type = 'Lock'")) > 0


@pytest.fixture
def desk(house: House) -> Desk:
    """Return a deliverer whose outcomes do not wait for company."""
    clock = Hands()
    rooms = partial(Bulkheads, 1, TOTAL, WATCH, clock)
    deliverer = replace(house.deliverer, projects=rooms(), receivers=rooms(), window=0)
    return Desk(house, deliverer, clock, asyncio.Event())


Step = Callable[[Desk], AbstractAsyncContextManager[InHand]]


@asynccontextmanager
async def waiting_for_its_project(desk: Desk) -> AsyncIterator[InHand]:
    desk.house.puppet.script.append(desk.hold)
    await desk.plan(2)
    first, second = await all_begun(desk.house, desk.deliverer)
    await until(lambda: len(desk.house.puppet.sent) == 1)
    assert second.place is None
    yield second
    desk.gate.set()
    await first


@asynccontextmanager
async def admitted(desk: Desk) -> AsyncIterator[InHand]:
    one = await desk.begin()
    assert one.place is not None
    yield one


@asynccontextmanager
async def being_claimed(desk: Desk) -> AsyncIterator[InHand]:
    await desk.plan()
    async with rows_held(desk.house):
        (one,) = await all_begun(desk.house, desk.deliverer)
        await until(partial(are_waited_for, desk.house))
        yield one
    await until(partial(desk.stands, *UNTOUCHED))


@asynccontextmanager
async def waiting_for_its_receiver(desk: Desk) -> AsyncIterator[InHand]:
    receivers = desk.deliverer.receivers
    async with receivers.place(RECEIVER):
        one = await desk.begin()
        await until(lambda: len(receivers._rooms[RECEIVER].waiting) == 1)
        yield one
        await until(partial(attempt_is_over, one))


@asynccontextmanager
async def being_sent(desk: Desk) -> AsyncIterator[InHand]:
    desk.house.puppet.script.append(desk.hold)
    one = await desk.begin()
    await until(lambda: len(desk.house.puppet.sent) == 1)
    yield one
    await until(partial(attempt_is_over, one))


@asynccontextmanager
async def being_given_back(desk: Desk) -> AsyncIterator[InHand]:
    async with waiting_for_its_receiver(desk) as one, rows_held(desk.house):
        desk.clock.now += NEVER  # its receiver hangs
        await until(partial(are_waited_for, desk.house))
        yield one


@asynccontextmanager
async def known_but_waiting_for_company(desk: Desk) -> AsyncIterator[InHand]:
    desk.deliverer = replace(desk.deliverer, window=NEVER)
    one = await desk.begin()
    await until(lambda: desk.deliverer._ended._waiting == [one])
    yield one
    desk.deliverer._ended._flush()
    await until(partial(desk.stands, *DELIVERED))


@asynccontextmanager
async def being_recorded(desk: Desk) -> AsyncIterator[InHand]:
    desk.house.puppet.script.append(desk.hold)
    one = await desk.begin()
    await until(lambda: len(desk.house.puppet.sent) == 1)
    async with rows_held(desk.house):
        desk.gate.set()
        await until(partial(are_waited_for, desk.house))
        yield one
    await until(partial(desk.stands, *DELIVERED))


@asynccontextmanager
async def refused_by_the_database(desk: Desk) -> AsyncIterator[InHand]:
    desk.house.puppet.script.append(desk.hold)
    one = await desk.begin()
    await until(lambda: len(desk.house.puppet.sent) == 1)
    await desk.house.sql("ALTER TABLE attempts RENAME TO elsewhere")
    first_pause = one.pause
    desk.gate.set()
    await until(lambda: one.pause > first_pause)
    yield one
    await desk.house.sql("ALTER TABLE elsewhere RENAME TO attempts")
    await until(partial(desk.stands, *DELIVERED))


def attempt_is_over(one: InHand) -> bool:
    """Say whether nothing is being done for a delivery any longer."""
    return one.attempt is not None and one.attempt.done()


UNCLAIMED: list[Step] = [waiting_for_its_project, admitted, being_claimed]
IN_HAND: list[Step] = [waiting_for_its_receiver, being_sent, being_given_back]
KNOWN: list[Step] = [known_but_waiting_for_company, being_recorded, refused_by_the_database]


@pytest.mark.parametrize("step", [*UNCLAIMED, *IN_HAND, *KNOWN])
async def test_who_is_cancelled_gives_its_places_back_wherever_it_is(desk: Desk, step: Step) -> None:
    async with step(desk) as one:
        assert one.cancel()
        assert not one.cancel(), "it gives its place back once"
        assert one.place is None
        assert one.cancelled()
    await until(desk.rooms_are_empty)


@pytest.mark.parametrize("step", [admitted, being_claimed, *IN_HAND, *KNOWN])
async def test_the_place_of_who_is_cancelled_is_free_at_once(desk: Desk, step: Step) -> None:
    async with step(desk) as one:
        one.cancel()
        assert desk.deliverer.projects._rooms == {}
        assert desk.deliverer.projects._free == TOTAL
    await until(desk.rooms_are_empty)


@pytest.mark.parametrize("step", UNCLAIMED)
async def test_what_is_cancelled_before_its_claim_is_known_is_not_sent_but_another_time(
    desk: Desk, step: Step
) -> None:
    async with step(desk) as one:
        one.cancel()
        sent = len(desk.house.puppet.sent)
    _, wanted = one.wanted
    await until(lambda: not being_worked_on(desk.deliverer))
    assert await desk.stands(*UNTOUCHED)
    assert len(desk.house.puppet.sent) == sent
    assert await desk.house.sql("SELECT 1 FROM attempts WHERE delivery_id = :id", id=wanted) == []
    await desk.deliverer.deliver(*one.wanted)
    assert await desk.stands(*DELIVERED)


def being_worked_on(deliverer: Deliverer) -> bool:
    """Say whether deliveries wait to be claimed, or are being claimed."""
    return bool(deliverer._admitted._waiting or deliverer._admitted._running)


@pytest.mark.parametrize("step", KNOWN)
async def test_an_outcome_that_is_known_is_written_though_its_job_was_cancelled(
    desk: Desk, step: Step
) -> None:
    async with step(desk) as one:
        one.cancel()
    assert await desk.stands(*DELIVERED)
    assert len(desk.house.puppet.sent) == 1
    assert [row.outcome for row in await desk.house.attempts()] == ["delivered"]


async def test_a_task_that_delivers_and_is_cancelled_cancels_its_delivery(desk: Desk) -> None:
    await desk.plan()
    desk.house.puppet.script.append(desk.hold)
    row = await desk.house.delivery()
    task = asyncio.create_task(desk.deliverer.deliver(row.project_id, row.id))
    await until(lambda: len(desk.house.puppet.sent) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(desk.rooms_are_empty)


def roomy(house: House, **changes: Any) -> Deliverer:
    """Return a deliverer with places for all."""
    return replace(
        house.deliverer, projects=Bulkheads(TOTAL, TOTAL), receivers=Bulkheads(TOTAL, TOTAL), **changes
    )


async def five_planned(house: House) -> None:
    """Have deliveries wait, each for a receiver of its own."""
    for name in "abcde":
        await house.create_due(to=[f"puppet:{name}"])
    await house.plan()


async def all_begun(house: House, deliverer: Deliverer) -> list[InHand]:
    """Begin all deliveries, in the order of the ledger and as one batch."""
    return [deliverer.begin(row.project_id, row.id) for row in await house.deliveries()]


async def test_who_is_cancelled_while_being_claimed_leaves_the_others_of_its_batch_alone(
    house: House,
) -> None:
    deliverer = roomy(house)
    await five_planned(house)
    async with rows_held(house):
        begun = await all_begun(house, deliverer)
        await until(partial(are_waited_for, house))
        begun[2].cancel()
    ends = await asyncio.gather(*begun, return_exceptions=True)
    assert [type(end) for end in ends].count(asyncio.CancelledError) == 1

    async def others_are_delivered() -> bool:
        found = sorted((row.status, row.attempts_made) for row in await house.deliveries())
        return found == [*[DELIVERED] * 4, UNTOUCHED]

    await until(others_are_delivered)
    assert len(house.puppet.sent) == 4


async def test_a_line_that_cannot_be_written_costs_no_other_delivery_its_end(house: House) -> None:
    def count(_kind: str, _outcome: str, status: str, *_: object) -> None:
        if status == "failed":
            raise OSError("no space left")

    deliverer = roomy(house, count=count, window=NEVER)
    no = Outcome.rejected(Reason.RECIPIENT_REJECTED, "no")
    house.puppet.script.extend([Outcome.delivered(), Outcome.delivered(), no])
    await five_planned(house)
    begun = await all_begun(house, deliverer)
    await until(lambda: len(deliverer._ended._waiting) == 5)
    deliverer._ended._flush()
    ends = await asyncio.gather(*begun, return_exceptions=True)
    assert sorted(map(str, ends)) == [*["None"] * 4, "no space left"]
    assert sorted(row.status for row in await house.deliveries()) == [*["delivered"] * 4, "failed"]
    assert deliverer.projects._rooms == deliverer.receivers._rooms == {}
    assert deliverer.projects._free == TOTAL


async def test_a_claim_that_fails_for_good_ends_all_of_its_batch_by_its_error(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bookkeeping, "PAUSES", (0, 0, 0))
    away = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/nothing")
    deliverer = roomy(house, books=Bookkeeping(away, lease=75))
    await five_planned(house)
    ends = await asyncio.gather(*await all_begun(house, deliverer), return_exceptions=True)
    await away.aclose()
    assert all(isinstance(end, OSError) for end in ends), ends
    assert deliverer.projects._rooms == {}
    assert deliverer.projects._free == TOTAL
    assert {(row.status, row.attempts_made) for row in await house.deliveries()} == {UNTOUCHED}


async def test_two_jobs_for_one_delivery_at_once_send_one_message(house: House) -> None:
    row = await house.plan_one()
    deliverer = roomy(house)
    both = [deliverer.begin(row.project_id, row.id) for _ in range(2)]
    assert deliverer._admitted._waiting == both, "they are claimed by one statement"
    await asyncio.gather(*both)
    assert len(house.puppet.sent) == 1
    assert [one.outcome for one in await house.attempts()] == ["delivered"]
    assert deliverer.projects._rooms == {}
