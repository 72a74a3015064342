"""What is stuck is found through the indexes made for it, and counted by one rescuer only."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from notifier.storage import rescue
from notifier.storage.tables import LIVE
from tests.house import House, bulk_due, open_house


@pytest.fixture
async def house(database_url: str, redis_url: str) -> AsyncIterator[House]:
    """Yield a wired service on a database and a queue of its own."""
    async with open_house(database_url, redis_url) as opened:
        yield opened


async def test_rows_are_paged_without_gaps_or_repeats(house: House) -> None:
    await bulk_due(house, 10)
    await house.plan()
    await house.sql("UPDATE deliveries SET enqueued_at = NULL")
    seen: list[Any] = []
    async with house.database.transaction() as session:
        while page := await rescue.unrung(session, 3, seen[-1] if seen else None):
            seen += page
    assert len(seen) == len({row.id for row in seen}) == 10
    assert all(row.silent for row in seen)


async def test_a_ring_is_counted_by_the_first_who_saw_the_row(house: House) -> None:
    await house.plan_one()
    await house.sql("UPDATE deliveries SET enqueued_at = NULL")
    async with house.database.transaction() as session:
        seen = await rescue.unrung(session, 10, None)
    async with house.database.transaction() as session:
        (counted,) = await rescue.count_ring(session, seen)
        assert counted.enqueue_seq == 2
    async with house.database.transaction() as session:
        assert await rescue.count_ring(session, seen) == []


async def test_a_ring_for_a_row_that_ended_meanwhile_is_not_counted(house: House) -> None:
    await house.plan_one()
    await house.sql("UPDATE deliveries SET enqueued_at = NULL")
    async with house.database.transaction() as session:
        seen = await rescue.unrung(session, 10, None)
    await house.send()
    async with house.database.transaction() as session:
        assert await rescue.count_ring(session, seen) == []


async def test_batches_are_kept(house: House) -> None:
    await bulk_due(house, 5)
    await house.plan()
    await house.sql("UPDATE deliveries SET start_by = now()")
    for expected in (3, 2, 0):
        async with house.database.transaction() as session:
            assert await rescue.expire(session, 3) == expected


UNRUNG = rescue.UNRUNG.text.replace(":after_at", "now()").replace(":after_id", "gen_random_uuid()")


@pytest.mark.parametrize(
    ("statement", "parameters", "index"),
    [
        (rescue.BREAK_LEASES.text, {"batch": 9, "most": 3, "clock": LIVE}, "ix_deliveries_waiting"),
        (rescue.EXPIRE.text, {"batch": 9, "clock": LIVE}, "ix_deliveries_waiting"),
        (UNRUNG, {"batch": 9, "patience": 30, "clock": LIVE}, "ix_deliveries_waiting"),
    ],
)
async def test_what_is_stuck_is_found_through_its_partial_index(
    house: House, statement: str, parameters: dict[str, Any], index: str
) -> None:
    await bulk_due(house, 3)
    await house.plan()
    async with house.database.transaction() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await session.execute(text("EXPLAIN " + statement), parameters)
        assert index in "\n".join(row[0] for row in plan)
