"""A message that kills workers takes none with it that were merely in the same hands."""

import asyncio
from typing import Any

from notifier.domain.delivery import Envelope, Outcome
from notifier.storage import claims
from tests.house import House
from tests.pipeline.desk import all_begun, roomy
from tests.processes import until


async def suspects_planned(house: House, suspects: int, others: int = 0) -> None:
    """Have deliveries wait with the first of which two workers have died."""
    for number in range(suspects + others):
        await house.create_due(to=[f"puppet:{number}"])
    await house.plan()
    await house.sql(
        "UPDATE deliveries SET status = 'retrying', unknown_streak = 2, next_attempt_at = now()"
        " WHERE id IN (SELECT id FROM deliveries ORDER BY id LIMIT :suspects)",
        suspects=suspects,
    )


class Gate:
    """Receivers that take their time, and how many messages have come to them."""

    def __init__(self, house: House, count: int) -> None:
        self.open = asyncio.Event()
        self.inside = self.most = 0
        house.puppet.script.extend([self.take_its_time] * count)

    async def take_its_time(self, _: Envelope) -> Outcome:
        """Keep a message until the gate opens."""
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.open.wait()
        await asyncio.sleep(0.01)
        self.inside -= 1
        return Outcome.delivered()


async def standing(house: House) -> dict[str, int]:
    """Return how many deliveries have each status."""
    rows = await house.sql("SELECT status, count(*) AS number FROM deliveries GROUP BY status")
    return {row.status: row.number for row in rows}


async def test_suspects_are_claimed_one_at_a_time_and_keep_nobody_waiting(house: House) -> None:
    await suspects_planned(house, 3, others=2)
    gate = Gate(house, 5)
    begun = await all_begun(house, roomy(house))
    await until(lambda: gate.inside == 3)
    assert await standing(house) == {"sending": 3, "retrying": 2}
    gate.open.set()
    await asyncio.gather(*begun)
    assert await standing(house) == {"delivered": 5}


async def test_suspects_alone_go_out_one_after_the_other(house: House) -> None:
    await suspects_planned(house, 4)
    gate = Gate(house, 4)
    gate.open.set()
    deliverer = roomy(house)
    await asyncio.gather(*await all_begun(house, deliverer))
    assert (gate.most, await standing(house)) == (1, {"delivered": 4})
    assert deliverer.projects._rooms == deliverer._quarantine._room._rooms == {}


async def test_whom_a_worker_dies_with_is_given_up_and_the_other_suspects_are_not(house: House) -> None:
    await suspects_planned(house, 3)
    gate = Gate(house, 1)
    begun = await all_begun(house, roomy(house))
    await until(lambda: gate.inside == 1)
    # the worker dies: its lease ends, and another one comes
    await house.sql("UPDATE deliveries SET lease_expires_at = now() WHERE status = 'sending'")
    await house.rescue()
    assert await standing(house) == {"failed": 1, "retrying": 2}
    await asyncio.gather(*await all_begun(house, roomy(house)))
    assert await standing(house) == {"failed": 1, "delivered": 2}
    gate.open.set()
    await asyncio.gather(*begun)


async def test_who_gives_up_waiting_leaves_its_turn_to_the_next(house: House) -> None:
    await suspects_planned(house, 3)
    gate = Gate(house, 3)
    begun = await all_begun(house, roomy(house))
    await until(lambda: gate.inside == 1)
    waiting = [one for one in begun if one.place is None]
    waiting[0].cancel()
    gate.open.set()
    await asyncio.gather(*begun, return_exceptions=True)
    assert await standing(house) == {"delivered": 2, "retrying": 1}


async def test_a_suspect_that_was_held_and_released_goes_out_too(house: House) -> None:
    await suspects_planned(house, 1)
    await house.sql("UPDATE deliveries SET status = 'pending', expires_at = NULL, start_by = NULL")
    await asyncio.gather(*await all_begun(house, roomy(house)))
    assert await standing(house) == {"delivered": 1}


async def test_a_worker_that_is_about_to_end_begins_with_no_suspect(house: House) -> None:
    await suspects_planned(house, 300)
    gate = Gate(house, 1)
    deliverer = roomy(house)
    begun = await all_begun(house, deliverer)
    await until(lambda: gate.inside == 1)
    deliverer.stop()
    gate.open.set()
    await asyncio.gather(*begun)
    assert await standing(house) == {"delivered": 1, "retrying": 299}


async def test_suspects_that_nobody_can_tell_are_left_to_the_rescuer(house: House, monkeypatch: Any) -> None:
    async def fail(*_: object) -> list[bool]:
        raise OSError("away")

    monkeypatch.setattr(claims, "suspects", fail)
    await suspects_planned(house, 1)
    await asyncio.gather(*await all_begun(house, roomy(house)))
    assert await standing(house) == {"retrying": 1}
