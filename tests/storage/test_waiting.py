"""What waits for a destination is held, canceled or let go in pieces, however much it is."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest

from notifier.storage import claims, waiting
from tests.house import PROJECT, House, bulk_due, open_house


@pytest.fixture
async def house(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """Yield a service for which five deliveries are many."""
    monkeypatch.setattr(waiting, "BATCH", 2)
    monkeypatch.setattr(waiting, "MOST_LOOKED_AT", 3)
    async with open_house(database_url, redis_url) as opened:
        await bulk_due(opened, 5)
        await opened.plan()
        yield opened


async def statuses(house: House) -> dict[str, int]:
    return Counter(row.status for row in await house.deliveries())


async def block(house: House) -> None:
    destination_id = (await house.deliveries())[0].destination_id
    async with house.database.transaction() as session:
        assert await claims.block_destination(session, PROJECT, destination_id, "gone")


async def test_what_is_not_held_at_once_is_held_when_it_is_due(house: House) -> None:
    await block(house)
    assert await statuses(house) == {"held": 3, "pending": 2}
    await house.rescue()
    assert await statuses(house) == {"held": 5}


async def test_what_waits_and_is_not_yet_held_is_not_sent(house: House) -> None:
    await block(house)
    for row in await house.deliveries():
        await house.send(row)
    assert house.puppet.sent == []


async def test_all_that_is_held_is_let_go_but_what_waits_for_a_decision(house: House) -> None:
    await block(house)
    await house.rescue()
    rows = await house.deliveries()
    await house.sql("UPDATE deliveries SET reason = 'overdue' WHERE id = :id", id=rows[2].id)
    async with house.database.transaction() as session:
        await waiting.release_held(session, PROJECT, rows[0].destination_id)
    assert await statuses(house) == {"held": 1, "pending": 4}


async def test_all_that_is_held_or_waits_for_a_deleted_destination_is_canceled(house: House) -> None:
    await block(house)
    rows = await house.deliveries()
    await house.sql("UPDATE destinations SET deleted_at = now() WHERE id = :id", id=rows[0].destination_id)
    async with house.database.transaction() as session:
        await waiting.cancel_for(session, PROJECT, rows[0].destination_id)
    assert await statuses(house) == {"canceled": 3, "pending": 2}
    await house.rescue()
    assert await statuses(house) == {"canceled": 5}
