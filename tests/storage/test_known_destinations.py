"""What is remembered of a destination is what its row says, whoever changes it."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, text

from notifier.storage import claims, known_destinations
from notifier.storage.claims import Claim
from notifier.storage.known_destinations import KnownDestinations
from tests.house import PROJECT, House, bulk_due, open_house


@pytest.fixture
async def house(database_url: str, redis_url: str) -> AsyncIterator[House]:
    """Yield a wired service on a database and a queue of its own, with deliveries to one destination."""
    async with open_house(database_url, redis_url) as opened:
        yield opened


async def claim_next(house: House, known: KnownDestinations) -> Claim:
    async with house.database.transaction() as session:
        waiting = await session.execute(text("SELECT id FROM deliveries WHERE status = 'pending' LIMIT 1"))
        wanted = [(PROJECT, waiting.scalar_one())]
        (claim,) = await claims.claim(session, wanted, uuid4(), 75, known)
    assert claim is not None
    return claim


async def plan(house: House, count: int) -> None:
    await bulk_due(house, count)
    await house.plan()


async def test_a_destination_is_read_once_and_again_when_its_row_has_changed(house: House) -> None:
    read: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "w.version" in statement:
            read.append(statement)

    await plan(house, 4)
    known = KnownDestinations()
    event.listen(house.database.engine.sync_engine, "before_cursor_execute", note)
    first, second = [await claim_next(house, known) for _ in range(2)]
    assert (first.destination, len(read)) == (second.destination, 1)
    # by hand: nobody counts its revision up
    async with house.database.transaction() as session:
        await session.execute(text("UPDATE destinations SET name = 'renamed'"))
    third, fourth = [await claim_next(house, known) for _ in range(2)]
    assert (third.destination.name, fourth.destination.name, len(read)) == ("renamed", "renamed", 2)


async def test_what_is_remembered_does_not_grow_for_ever(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_destinations, "MOST", 2)
    await plan(house, 5)
    known = KnownDestinations()
    for number in range(5):
        async with house.database.transaction() as session:
            await session.execute(text("UPDATE destinations SET name = :name"), {"name": f"name {number}"})
        assert (await claim_next(house, known)).destination.name == f"name {number}"
    assert len(known._known) <= 2
