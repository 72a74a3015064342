"""Pauses end by themselves or by hand: nothing is sent at once, what passed is one range."""

from typing import Any

import pytest

from notifier.services import notifications, pausing
from tests.pipeline.conftest import Begin
from tests.pipeline.timeline import Timeline, shown, utc

DAILY = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "UTC"}
SIX_HOURS = {"kind": "interval", "every": "PT6H"}


async def pause(timeline: Timeline, wanted: str, **options: Any) -> None:
    async with timeline.context() as ctx:
        await pausing.pause(ctx, wanted, options)


async def resume(timeline: Timeline, wanted: str, **options: Any) -> None:
    async with timeline.context() as ctx:
        await pausing.resume(ctx, wanted, **options)


async def test_resuming_after_a_week_sends_nothing_and_keeps_what_was_last(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(DAILY)
    await timeline.advance("2027-01-02T12:00")
    before = await timeline.notification(wanted)
    await pause(timeline, wanted)
    await timeline.advance("2027-01-09T12:00")
    await resume(timeline, wanted)
    assert (await timeline.advance("2027-01-10T08:59")).messages == []
    # of the 3rd to the 9th; the range ends where the notification was resumed
    skipped = ("2027-01-03T09:00", "skipped(paused) x7 to 2027-01-09T12:00")
    assert await timeline.ledger() == [("2027-01-02T09:00", "delivered"), skipped]
    after = await timeline.notification(wanted)
    assert shown(after.next_due_at) == "2027-01-10T09:00"
    assert (after.last_slot_at, after.last_delivered_at) == (before.last_slot_at, before.last_delivered_at)
    assert before.last_delivered_at is not None


@pytest.mark.parametrize("swept_at", ["2027-01-05T12:00", "2027-01-05T12:01", "2027-01-05T20:00"])
async def test_a_pause_ends_by_itself_as_of_its_end_however_late_the_sweep(
    begin: Begin, swept_at: str
) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(SIX_HOURS)
    await pause(timeline, wanted, until=utc("2027-01-05T12:00"), reason="holiday")
    await timeline.advance(swept_at, down=True)
    await timeline.sweep()
    row = await timeline.notification(wanted)
    assert (row.status, row.paused_until, row.pause_reason, row.revision) == ("active", None, None, 3)
    # every 6 h from the 1st at 18:00 to the 5th at 12:00: 18 h + 4 x 6 h a day later is the 16th
    first, *late = await timeline.ledger()
    assert first == ("2027-01-01T18:00", "skipped(paused) x16 to 2027-01-05T12:00:00.000001")
    # the clock counts from the end of the pause
    assert shown(row.anchor_at) == "2027-01-05T12:00"
    assert late == ([("2027-01-05T18:00", "pending")] if swept_at.endswith("20:00") else [])
    assert shown(row.next_due_at) == ("2027-01-06T00:00" if late else "2027-01-05T18:00")


async def test_a_slot_just_after_the_end_of_a_pause_is_sent(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(DAILY)
    await pause(timeline, wanted, until=utc("2027-01-03T08:59"))
    await timeline.advance("2027-01-03T09:00", down=True)
    await timeline.sweep()
    assert await timeline.ledger() == [
        ("2027-01-02T09:00", "skipped(paused)"),
        ("2027-01-03T09:00", "pending"),
    ]


async def test_catching_up_sends_the_latest_of_the_slots_that_passed(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(DAILY)
    await pause(timeline, wanted)
    await timeline.advance("2027-01-05T12:00")
    await resume(timeline, wanted, catch_up=True)
    await timeline.advance("2027-01-06T12:00")
    assert await timeline.ledger() == [
        ("2027-01-02T09:00", "skipped(paused) x3 to 2027-01-05T09:00"),
        ("2027-01-05T09:00", "delivered"),
        ("2027-01-06T09:00", "delivered"),
    ]


async def test_catching_up_where_nothing_passed_sends_nothing(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(DAILY)
    await pause(timeline, wanted)
    await timeline.advance("2027-01-01T20:00")
    await resume(timeline, wanted, catch_up=True)
    await timeline.advance("2027-01-02T12:00")
    assert await timeline.ledger() == [("2027-01-02T09:00", "delivered")]


async def test_a_pause_does_not_bring_back_a_slot_that_an_edit_put_off(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(DAILY)
    await timeline.advance("2027-01-02T12:00")
    # today had its message, so the new time begins tomorrow, with or without a pause in between
    async with timeline.context() as ctx:
        await notifications.update(ctx, wanted, {"schedule": {**DAILY, "times": ["15:00"]}}, revision=None)
    await pause(timeline, wanted)
    await resume(timeline, wanted)
    await timeline.advance("2027-01-03T20:00")
    assert await timeline.ledger() == [
        ("2027-01-02T09:00", "delivered"),
        ("2027-01-03T15:00", "delivered"),
    ]


async def test_a_rule_that_ended_during_a_pause_is_completed_at_its_end(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create({**DAILY, "end_at": "2027-01-04T00:00:00Z"})
    await pause(timeline, wanted, until=utc("2027-01-10T00:00"))
    await timeline.advance("2027-01-11T00:00")
    row = await timeline.notification(wanted)
    assert (row.status, shown(row.completed_at)) == ("completed", "2027-01-10T00:00")
    assert await timeline.ledger() == [("2027-01-02T09:00", "skipped(paused) x2 to 2027-01-10T00:00")]


async def test_what_cannot_be_resumed_is_put_off_and_stops_nobody(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    broken, sound = await timeline.create(DAILY), await timeline.create(DAILY)
    for wanted in (broken, sound):
        await pause(timeline, wanted, until=utc("2027-01-02T12:00"))
    await timeline.sql("UPDATE notifications SET schedule = '{}' WHERE id = CAST(:id AS uuid)", id=broken)
    await timeline.sweep("2027-01-02T12:00")
    assert (await timeline.notification(sound)).status == "active"
    row = await timeline.notification(broken)
    assert (row.status, shown(row.paused_until)) == ("paused", "2027-01-02T13:00")
