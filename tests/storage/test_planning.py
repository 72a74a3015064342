"""Due rows are locked and moved by statements that can run anywhere at the same time."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from notifier.clock import new_id
from notifier.storage import planning
from notifier.storage.plan_rows import Move, NewDelivery
from notifier.storage.tables import LIVE
from tests.house import PROJECT, House, bulk_due, open_house


@pytest.fixture
async def house(database_url: str, redis_url: str) -> AsyncIterator[House]:
    """Yield a wired service on a database and a queue of its own."""
    async with open_house(database_url, redis_url) as opened:
        yield opened


async def test_taken_rows_are_locked_until_the_commit_and_others_get_the_rest(house: House) -> None:
    await bulk_due(house, 5)
    async with house.database.transaction() as first, house.database.transaction() as second:
        taken = await planning.take_due(first, 3)
        rest = await planning.take_due(second, 3)
        assert (len(taken), len(rest)) == (3, 2)
        assert not {row.id for row in taken} & {row.id for row in rest}


async def test_the_longest_due_are_taken_first(house: House) -> None:
    for ago in ("1 minute", "3 minutes", "2 minutes"):
        await house.create_due(ago)
    async with house.database.transaction() as session:
        taken = await planning.take_due(session, 2)
        ages = sorted(round((row.now - row.next_due_at).total_seconds() / 60) for row in taken)
    assert ages == [2, 3]


async def slot(house: House, notification_id: UUID, **changes: Any) -> NewDelivery:
    """Return a delivery of a notification for the slot that is due."""
    async with house.database.transaction() as session:
        (row,) = [one for one in await planning.take_due(session, 10) if one.id == notification_id]
        ((destination_id,),) = (await planning.destinations_of(session, [row])).values()
    values = {
        "project_id": PROJECT,
        "id": new_id(),
        "notification_id": notification_id,
        "revision": row.revision,
        "destination_id": destination_id,
        "scheduled_for": row.next_due_at,
        "message_id": "msg_1",
    }
    return NewDelivery(**{**values, **changes})


async def test_a_slot_is_written_once_and_only_the_first_writer_rings(house: House) -> None:
    one = await slot(house, await house.create_due())
    async with house.database.transaction() as session:
        assert await planning.add_slots(session, [one]) == [(PROJECT, one.id)]
    again = one._replace(id=new_id())
    async with house.database.transaction() as session:
        assert await planning.add_slots(session, [again]) == []
    assert (await house.delivery()).id == one.id


async def test_of_many_rows_only_those_are_rung_for_that_are_new_and_may_be_sent(house: House) -> None:
    taken, new, blocked = [await house.create_due(to=[f"puppet:{name}"]) for name in "abc"]
    there = await slot(house, taken)
    async with house.database.transaction() as session:
        await planning.add_slots(session, [there])
    held = await slot(house, blocked)
    await house.sql("UPDATE destinations SET blocked_at = now() WHERE id = :id", id=held.destination_id)
    fresh = await slot(house, new)
    over = fresh._replace(id=new_id(), scheduled_for=fresh.scheduled_for - timedelta(days=1), status="missed")
    async with house.database.transaction() as session:
        rows = [there._replace(id=new_id()), fresh, held, over]
        assert await planning.add_slots(session, rows) == [(PROJECT, fresh.id)]
    found = {row.id: row.status for row in await house.deliveries()}
    assert found == {there.id: "pending", fresh.id: "pending", held.id: "held", over.id: "missed"}


async def test_a_slot_that_is_over_already_is_not_rung_for(house: House) -> None:
    one = await slot(house, await house.create_due(), status="missed", reason="coalesced")
    async with house.database.transaction() as session:
        assert await planning.add_slots(session, [one]) == []
    row = await house.delivery()
    assert row.finished_at is not None
    assert (row.next_attempt_at, row.enqueued_at) == (None, None)


async def test_nothing_to_write_is_no_statement(house: House) -> None:
    async with house.database.transaction() as session:
        assert await planning.add_slots(session, []) == []
        await planning.move_on(session, [])


async def test_a_revision_that_has_passed_moves_nothing(house: House) -> None:
    wanted = await house.create_due()
    before = await house.notification(wanted)
    later = before.next_due_at + timedelta(days=1)
    stale = Move(PROJECT, wanted, before.revision + 1, before.next_due_at, later)
    async with house.database.transaction() as session:
        await planning.move_on(session, [stale])
    assert (await house.notification(wanted)).next_due_at == before.next_due_at
    async with house.database.transaction() as session:
        await planning.move_on(session, [stale._replace(revision=before.revision)])
    after = await house.notification(wanted)
    assert (after.next_due_at, after.last_slot_at) == (later, before.next_due_at)


async def test_due_rows_are_found_through_their_partial_index(house: House) -> None:
    await bulk_due(house, 3)
    async with house.database.transaction() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await session.execute(text("EXPLAIN " + planning.TAKE_DUE.text), {"batch": 10, "clock": LIVE})
        assert "ix_notifications_due" in "\n".join(row[0] for row in plan)
