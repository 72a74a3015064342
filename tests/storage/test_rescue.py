"""What is stuck is found through the indexes made for it, and counted by one rescuer only."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from notifier.storage import rescue
from notifier.storage.stretches import ALL, START, Mark, Stretch, end_of
from tests.house import House, bulk_due, open_house


@pytest.fixture
async def house(database_url: str, redis_url: str) -> AsyncIterator[House]:
    """Yield a wired service on a database and a queue of its own."""
    async with open_house(database_url, redis_url) as opened:
        yield opened


async def test_stretches_follow_one_another_without_gaps_or_repeats(house: House) -> None:
    await bulk_due(house, 10)
    await house.plan()  # all of them due at the same instant
    await house.sql("UPDATE deliveries SET enqueued_at = now() - interval '1 minute'")
    seen: list[Any] = []
    mark: Mark | None = START
    async with house.database.transaction() as session:
        while mark:
            stretch = Stretch(mark, 3)
            seen += await rescue.unrung(session, stretch)
            mark = await end_of(session, stretch)
    assert len(seen) == len({row.id for row in seen}) == 10
    assert not any(row.silent for row in seen)


async def test_a_ring_is_counted_by_the_first_who_saw_the_row(house: House) -> None:
    await house.plan_one()
    await house.sql("UPDATE deliveries SET enqueued_at = NULL")
    async with house.database.transaction() as session:
        seen = await rescue.unrung(session, ALL)
    async with house.database.transaction() as session:
        (counted,) = await rescue.count_ring(session, seen)
        assert counted.enqueue_seq == 2
    async with house.database.transaction() as session:
        assert await rescue.count_ring(session, seen) == []


async def test_a_ring_for_a_row_that_ended_meanwhile_is_not_counted(house: House) -> None:
    await house.plan_one()
    await house.sql("UPDATE deliveries SET enqueued_at = NULL")
    async with house.database.transaction() as session:
        seen = await rescue.unrung(session, ALL)
    await house.send()
    async with house.database.transaction() as session:
        assert await rescue.count_ring(session, seen) == []


async def test_batches_are_kept(house: House) -> None:
    await bulk_due(house, 5)
    await house.plan()
    await house.sql("UPDATE deliveries SET start_by = now()")
    for expected in (3, 2, 0):
        async with house.database.transaction() as session:
            assert await rescue.expire(session, ALL, 3) == expected
