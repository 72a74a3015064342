"""Who is cancelled holds no place, is not sent, and an outcome that is known is written all the same."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from notifier.pipeline.bulkheads import Bulkheads
from notifier.pipeline.deliverer import CROWDED_WAIT, Deliverer
from tests.house import House
from tests.pipeline.desk import (
    DELIVERED,
    IN_HAND,
    KNOWN,
    TOTAL,
    UNCLAIMED,
    UNTOUCHED,
    WATCH,
    Desk,
    Step,
    admitted,
    all_begun,
    being_claimed,
    being_given_back,
    waiting_for_its_receiver,
)
from tests.pipeline.hands import Hands
from tests.processes import until


@pytest.fixture
def desk(house: House) -> Desk:
    """Return a deliverer whose outcomes do not wait for company."""
    clock = Hands()
    rooms = partial(Bulkheads, 1, TOTAL, WATCH, clock)
    deliverer = replace(house.deliverer, projects=rooms(), receivers=rooms(), window=0)
    return Desk(house, deliverer, clock, asyncio.Event())


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


@pytest.mark.parametrize("step", [*UNCLAIMED, waiting_for_its_receiver])
async def test_what_is_cancelled_before_it_may_be_sent_is_not_sent_but_another_time(
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


async def test_who_gets_a_place_at_its_receiver_and_is_cancelled_in_the_same_moment_is_not_sent(
    house: House,
) -> None:
    rooms = partial(Bulkheads, TOTAL, TOTAL)
    deliverer = replace(house.deliverer, projects=rooms(), receivers=Bulkheads(1, TOTAL), window=0)
    desk = Desk(house, deliverer, Hands(), asyncio.Event())
    house.puppet.script.append(desk.hold)
    await desk.plan(3)
    begun = await all_begun(house, deliverer)
    await until(lambda: len(house.puppet.sent) == 1)
    for one in begun:
        one.cancel()
    await until(desk.rooms_are_empty)
    assert len(house.puppet.sent) == 1

    async def others_are_untouched() -> bool:
        found = sorted((row.status, row.attempts_made) for row in await house.deliveries())
        return found == [UNTOUCHED, UNTOUCHED, ("sending", 1)]

    await until(others_are_untouched)


async def test_whose_receiver_hangs_is_given_back_and_due_again_later(desk: Desk) -> None:
    async with being_given_back(desk) as one:
        pass
    await one
    row = await desk.house.delivery()
    assert (row.status, row.attempts_made, row.lease_token) == ("pending", 0, None)
    ((seconds,),) = await desk.house.sql(
        "SELECT extract(epoch FROM next_attempt_at - now())::float8 FROM deliveries"
    )
    assert CROWDED_WAIT - 10 < seconds <= CROWDED_WAIT
    await until(desk.rooms_are_empty)
