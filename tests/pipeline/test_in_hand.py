"""Deliveries of one batch: nobody's end depends on another's."""

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest

from notifier.domain.delivery import Envelope, Outcome, Reason
from notifier.pipeline import bookkeeping
from notifier.pipeline.bookkeeping import Bookkeeping
from notifier.pipeline.bulkheads import Bulkheads
from notifier.storage.engine import Database
from tests.house import House
from tests.pipeline.desk import (
    DELIVERED,
    NEVER,
    TOTAL,
    UNTOUCHED,
    all_begun,
    are_waited_for,
    roomy,
    rows_held,
)
from tests.processes import until
from tests.servers import free_port


async def five_planned(house: House) -> None:
    """Have deliveries wait, each for a receiver of its own."""
    for name in "abcde":
        await house.create_due(to=[f"puppet:{name}"])
    await house.plan()


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


async def test_a_message_that_cannot_be_prepared_costs_no_other_one_of_its_batch_anything(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = house.puppet.prepare

    def but_not_c(envelope: Envelope) -> Callable[[], Awaitable[Outcome]]:
        if envelope.config["name"] == "c":
            raise ZeroDivisionError
        return prepare(envelope)

    monkeypatch.setattr(house.puppet, "prepare", but_not_c)
    await five_planned(house)
    await asyncio.gather(*await all_begun(house, roomy(house)))
    assert sorted(row.status for row in await house.deliveries()) == [*["delivered"] * 4, "retrying"]
    (failed,) = [row for row in await house.attempts() if row.outcome != "delivered"]
    assert (failed.outcome, failed.error) == ("failed", "internal error: ZeroDivisionError")


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


@pytest.mark.parametrize("every", [1, 2, 3])
async def test_behind_a_slow_receiver_hardly_more_is_claimed_than_it_has_places(
    house: House, every: int
) -> None:
    """One delivery in so many goes there; those before it were quick, and earned a head start."""
    receivers = Bulkheads(4, 200)
    deliverer = replace(house.deliverer, projects=Bulkheads(4, 200, ahead=40), receivers=receivers)
    waiting: list[int] = []

    async def take_its_time(envelope: Envelope) -> Outcome:
        if envelope.config["name"] == "slow":
            waiting.append(len(receivers._rooms["puppet", "slow"].waiting))
            await asyncio.sleep(0.02)
        return Outcome.delivered()

    house.puppet.script.extend([take_its_time] * 200)
    for number in range(200):
        slow = number > 60 and number % every == 0
        await house.create_due(to=["puppet:slow" if slow else f"puppet:{number}"])
    await house.plan()
    await asyncio.gather(*await all_begun(house, deliverer))
    settled = waiting[len(waiting) // 3 :]
    assert sum(settled) / len(settled) < 8


async def test_two_jobs_for_one_delivery_at_once_send_one_message(house: House) -> None:
    row = await house.plan_one()
    deliverer = roomy(house)
    both = [deliverer.begin(row.project_id, row.id) for _ in range(2)]
    assert deliverer._admitted._waiting == both, "they are claimed by one statement"
    await asyncio.gather(*both)
    assert len(house.puppet.sent) == 1
    assert [one.outcome for one in await house.attempts()] == ["delivered"]
    assert deliverer.projects._rooms == {}


@pytest.mark.usefixtures("no_collector")
async def test_what_is_over_is_forgotten_at_once(house: House) -> None:
    deliverer = roomy(house)
    row = await house.plan_one()
    one = deliverer.begin(row.project_id, row.id)
    await one
    forgotten = weakref.ref(one)
    del one
    await until(lambda: forgotten() is None)
