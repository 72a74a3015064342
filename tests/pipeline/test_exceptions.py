"""One slot skipped, moved or reworded: the planner heeds it, and the rule goes its own way."""

import asyncio
from datetime import timedelta
from typing import Any

from notifier.pipeline import planner
from notifier.services import exceptions, pausing
from tests.house import House
from tests.pipeline.conftest import Begin
from tests.pipeline.timeline import Timeline, shown, utc

DAILY = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "UTC"}
NOTHING = {"move_to": None, "title": None, "body": None}


async def add(timeline: Timeline, wanted: str, slot: str, action: str, **more: Any) -> str:
    """Add an exception as users do; return its id."""
    if "move_to" in more:
        more["move_to"] = utc(more["move_to"])
    async with timeline.context() as ctx:
        made = await exceptions.create(ctx, wanted, {**NOTHING, "slot": utc(slot), "action": action, **more})
    return str(made.id)


async def test_a_skipped_slot_stands_in_the_ledger_and_the_next_one_comes(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(DAILY)
    await add(timeline, wanted, "2027-01-03T09:00", "skip")
    await timeline.advance("2027-01-04T12:00")
    assert await timeline.ledger() == [
        ("2027-01-02T09:00", "delivered"),
        ("2027-01-03T09:00", "skipped(excluded)"),
        ("2027-01-04T09:00", "delivered"),
    ]


async def test_after_a_downtime_the_newest_slot_is_sent_that_was_not_skipped(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(DAILY)
    await add(timeline, wanted, "2027-01-04T09:00", "skip")
    await timeline.sweep("2027-01-04T12:00")
    assert await timeline.ledger() == [
        ("2027-01-02T09:00", "missed(coalesced)"),
        ("2027-01-03T09:00", "pending"),
        ("2027-01-04T09:00", "skipped(excluded)"),
    ]


async def test_a_moved_slot_is_sent_where_it_was_moved_to_and_its_place_says_so(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(DAILY)
    await add(timeline, wanted, "2027-01-03T09:00", "move", move_to="2027-01-03T15:30")
    await add(timeline, wanted, "2027-01-05T09:00", "move", move_to="2027-01-04T20:00")
    done = await timeline.advance("2027-01-06T12:00")
    assert await timeline.ledger() == [
        ("2027-01-02T09:00", "delivered"),
        ("2027-01-03T09:00", "skipped(moved)"),
        ("2027-01-03T15:30", "delivered"),
        ("2027-01-04T09:00", "delivered"),
        ("2027-01-04T20:00", "delivered"),
        ("2027-01-05T09:00", "skipped(moved)"),
        ("2027-01-06T09:00", "delivered"),
    ]
    assert [shown(one.sent_at) for one in done.messages] == [
        slot for slot, how in await timeline.ledger() if how == "delivered"
    ]


async def test_a_single_slot_can_be_moved_beyond_its_own_end(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create({"kind": "once", "at": "2027-01-02T09:00:00Z"})
    await add(timeline, wanted, "2027-01-02T09:00", "move", move_to="2027-01-02T11:00")
    await timeline.advance("2027-01-03T12:00")
    assert await timeline.ledger() == [
        ("2027-01-02T09:00", "skipped(moved)"),
        ("2027-01-02T11:00", "delivered"),
    ]


async def test_a_slot_moved_into_a_downtime_is_sent_late_until_the_next_slot(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(DAILY)
    await add(timeline, wanted, "2027-01-02T09:00", "move", move_to="2027-01-02T11:00")
    await timeline.advance("2027-01-02T23:00", down=True)
    await timeline.advance("2027-01-02T23:00")
    assert await timeline.ledger() == [
        ("2027-01-02T09:00", "skipped(moved)"),
        ("2027-01-02T11:00", "delivered"),
    ]


async def test_a_slot_moved_into_a_pause_is_skipped_and_not_sent_at_its_end(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(DAILY)
    await add(timeline, wanted, "2027-01-04T09:00", "move", move_to="2027-01-02T15:00")
    async with timeline.context() as ctx:
        await pausing.pause(ctx, wanted, {"until": utc("2027-01-03T00:00")})
    await timeline.advance("2027-01-05T12:00")
    assert await timeline.ledger() == [
        ("2027-01-02T09:00", "skipped(paused)"),
        ("2027-01-02T15:00", "skipped(paused)"),
        ("2027-01-03T09:00", "delivered"),
        ("2027-01-04T09:00", "skipped(moved)"),
        ("2027-01-05T09:00", "delivered"),
    ]


async def test_a_reworded_slot_has_its_own_words_and_the_others_keep_theirs(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(DAILY, title="Usual", body="Same as ever")
    await add(timeline, wanted, "2027-01-03T09:00", "reword", title="Special")
    done = await timeline.advance("2027-01-04T12:00")
    assert [(one.title, one.body) for one in done.messages] == [
        ("Usual", "Same as ever"),
        ("Special", "Same as ever"),
        ("Usual", "Same as ever"),
    ]


async def test_an_exception_that_is_undone_leaves_no_trace(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(DAILY)
    moved = await add(timeline, wanted, "2027-01-02T09:00", "move", move_to="2027-01-02T11:00")
    async with timeline.context() as ctx:
        await exceptions.delete(ctx, wanted, moved)
    await timeline.advance("2027-01-02T12:00")
    assert await timeline.ledger() == [("2027-01-02T09:00", "delivered")]


async def test_a_moved_slot_that_cannot_be_planned_is_recorded_and_stops_nobody(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    broken, sound = await timeline.create(DAILY), await timeline.create(DAILY)
    for wanted in (broken, sound):
        await add(timeline, wanted, "2027-01-03T09:00", "move", move_to="2027-01-02T07:00")
    await timeline.sql("UPDATE notifications SET schedule = '{}' WHERE id = CAST(:id AS uuid)", id=broken)
    await timeline.sweep("2027-01-02T07:00")
    assert {str(row.notification_id): row.status for row in await timeline.rows()} == {
        broken: "failed",
        sound: "pending",
    }


async def test_moved_slots_are_planned_once_however_many_sweeps_run(house: House) -> None:
    """Real time, real concurrency: exceptions of many notifications come due under eight sweeps."""
    made = [await house.create(schedule="daily") for _ in range(40)]
    soon = made[0].created_at + timedelta(seconds=30)
    for row in made:
        async with house.context() as ctx:
            draft = {**NOTHING, "slot": row.next_due_at, "action": "move", "move_to": soon}
            await exceptions.create(ctx, str(row.id), draft)
    await house.sql("UPDATE notification_exceptions SET move_to = now() - interval '1 second'")
    await asyncio.gather(*(planner.sweep(house.database, house.queue, batch=5) for _ in range(8)))
    await house.plan(batch=5)
    ledger = await house.deliveries()
    assert {row.status for row in ledger} == {"pending"}
    assert len({row.notification_id for row in ledger}) == len(ledger) == len(made)
