"""A delivery at each step of its way through a worker, held there until a test has done with it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from notifier.domain.delivery import Envelope, Outcome
from notifier.pipeline.bulkheads import Bulkheads
from notifier.pipeline.deliverer import Deliverer
from notifier.pipeline.in_hand import InHand
from tests.house import House, rows_of
from tests.pipeline.hands import Hands
from tests.pipeline.stays import Stay
from tests.processes import until

TOTAL = 10
WATCH = 0.02
NEVER = 3600.0
RECEIVER = ("puppet", "a")
UNTOUCHED = ("pending", 0)
DELIVERED = ("delivered", 1)


async def all_begun(house: House, deliverer: Deliverer) -> list[InHand]:
    """Begin all deliveries, in the order of the ledger and as one batch."""
    return [deliverer.begin(row.project_id, row.id) for row in await house.deliveries()]


def roomy(house: House, **changes: Any) -> Deliverer:
    """Return a deliverer with places for all."""
    return replace(
        house.deliverer, projects=Bulkheads(TOTAL, TOTAL), receivers=Bulkheads(TOTAL, TOTAL), **changes
    )


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
    async with Stay(receivers, RECEIVER):
        one = await desk.begin()
        await until(lambda: len(receivers._rooms[RECEIVER].waiting) == 1)
        yield one
        await until(partial(attempt_is_over, one))


async def held_by_its_receiver(desk: Desk) -> InHand:
    desk.house.puppet.script.append(desk.hold)
    one = await desk.begin()
    await until(lambda: len(desk.house.puppet.sent) == 1)
    return one


@asynccontextmanager
async def being_sent(desk: Desk) -> AsyncIterator[InHand]:
    one = await held_by_its_receiver(desk)
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
    one = await held_by_its_receiver(desk)
    async with rows_held(desk.house):
        desk.gate.set()
        await until(partial(are_waited_for, desk.house))
        yield one
    await until(partial(desk.stands, *DELIVERED))


@asynccontextmanager
async def refused_by_the_database(desk: Desk) -> AsyncIterator[InHand]:
    one = await held_by_its_receiver(desk)
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
