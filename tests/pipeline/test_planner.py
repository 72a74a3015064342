"""Due notifications become slots in the ledger, once each, and only then a ring."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event

from notifier.domain import schedule
from notifier.jobs import Job
from notifier.pipeline import planner, plans
from notifier.services import notifications, pausing
from notifier.storage import planning
from tests.house import PROJECT, House, bulk_due, hours, rows_of

DAILY_GRID = {"kind": "interval", "every": "daily", "anchor": "grid"}


async def set_schedule(house: House, wanted: UUID, schedule: object) -> None:
    """Write a schedule behind the back of the service, which would have refused it."""
    await house.sql(
        "UPDATE notifications SET schedule = CAST(:schedule AS jsonb) WHERE id = :id",
        schedule=json.dumps(schedule),
        id=wanted,
    )


async def test_a_due_notification_gets_one_pending_delivery_and_one_job(house: House) -> None:
    wanted = await house.create_due()
    before = await house.notification(wanted)
    assert await house.plan() == 1
    delivery, after = await house.delivery(), await house.notification(wanted)
    assert (delivery.status, delivery.trigger, delivery.revision) == ("pending", "schedule", 1)
    assert delivery.scheduled_for == before.next_due_at == after.last_slot_at
    assert hours(after.next_due_at, before.next_due_at) == 24
    assert delivery.start_by == delivery.expires_at == after.next_due_at
    assert await house.rung() == [Job(PROJECT, delivery.id, 1).id]


async def test_a_second_sweep_finds_nothing(house: House) -> None:
    await house.plan_one()
    assert await house.plan() == 0
    assert len(await house.deliveries()) == 1


async def test_a_notification_that_is_not_due_is_left_alone(house: House) -> None:
    await house.create()
    assert await house.plan() == 0
    assert await house.deliveries() == []


async def test_every_destination_gets_a_delivery_with_a_message_id_of_its_own(house: House) -> None:
    await house.create_due(to=["puppet:a", "puppet:b", "log:"])
    assert await house.plan() == 1
    rows = await house.deliveries()
    assert len({row.destination_id for row in rows}) == len({row.message_id for row in rows}) == 3
    assert len({row.scheduled_for for row in rows}) == 1


async def test_a_sweep_goes_on_until_a_batch_is_not_full(house: House) -> None:
    for _ in range(7):
        await house.create_due()
    assert await house.plan(batch=3) == 7  # 3 + 3 + 1
    assert len(await house.rung()) == 7
    planned = Counter(row.notification_id for row in await house.deliveries())
    assert set(planned.values()) == {1}


async def test_a_batch_that_is_exactly_full_is_followed_by_an_empty_one(house: House) -> None:
    await bulk_due(house, 6)
    assert await house.plan(batch=3) == 6  # 3 + 3 + 0


@pytest.mark.parametrize("planners", [2, 8])
async def test_planners_at_the_same_time_neither_double_nor_lose(house: House, planners: int) -> None:
    await bulk_due(house, 2000)
    planned = await asyncio.gather(*(house.plan(batch=100) for _ in range(planners)))
    # a planner may stop at a batch that others had thinned out; the next sweep takes what is left
    assert sum(planned) + await house.plan() == 2000
    counted = Counter(row.notification_id for row in await house.deliveries())
    assert len(counted) == 2000
    assert set(counted.values()) == {1}
    assert len(await house.rung()) == 2000


async def test_a_locked_notification_does_not_hold_up_the_others(house: House) -> None:
    locked, free = await house.create_due(), await house.create_due()
    async with house.database.transaction() as session:
        await rows_of(session, "SELECT 1 FROM notifications WHERE id = :id FOR UPDATE", id=locked)
        assert await house.plan() == 1
        assert (await house.delivery()).notification_id == free
    assert await house.plan() == 1


@pytest.mark.parametrize("schedule", [{"kind": "nonsense"}, "daily?", []])
async def test_what_cannot_be_planned_is_recorded_put_off_and_stops_nobody(
    house: House, schedule: object
) -> None:
    broken, sound = await house.create_due("2 seconds"), await house.create_due()
    await set_schedule(house, broken, schedule)
    slot = (await house.notification(broken)).next_due_at
    assert await house.plan() == 2
    first, second = await house.deliveries()
    assert (first.notification_id, first.status, first.reason) == (broken, "failed", "planning_error")
    assert first.scheduled_for == slot
    assert first.finished_at is not None
    assert (second.notification_id, second.status) == (sound, "pending")
    row = await house.notification(broken)
    assert row.status == "active"
    assert hours(row.next_due_at, slot) == pytest.approx(1, abs=0.01)
    assert await house.plan() == 0


async def test_after_a_downtime_the_newest_slot_is_sent_and_the_older_ones_were_missed(house: House) -> None:
    wanted = await house.create_due("50 hours", schedule=DAILY_GRID)
    first_due = (await house.notification(wanted)).next_due_at
    assert await house.plan() == 1
    rows = await house.deliveries()
    assert [hours(row.scheduled_for, first_due) for row in rows] == [0, 24, 48]  # 50 h ago, 26 h ago, 2 h ago
    assert [(row.status, row.reason) for row in rows] == [
        ("missed", "coalesced"),
        ("missed", "coalesced"),
        ("pending", None),
    ]
    assert await house.rung() == [Job(PROJECT, rows[2].id, 1).id]
    assert hours((await house.notification(wanted)).next_due_at, first_due) == 72


async def test_a_very_long_downtime_is_a_range_and_the_newest_hundred_slots(house: House) -> None:
    await house.create_due("1000 hours", schedule={**DAILY_GRID, "every": "PT1H"})
    await house.plan()
    # 1,000 h ago and every hour since: 1,001 slots, the newest is sent and the 100 before it are listed
    first, *listed = await house.deliveries()
    assert (first.status, first.slot_count) == ("missed", 1001 - 1 - plans.MOST_MISSED_LISTED)
    assert first.range_end == listed[0].scheduled_for
    assert Counter(row.status for row in listed) == {"missed": plans.MOST_MISSED_LISTED, "pending": 1}


async def pause(house: House, wanted: UUID) -> None:
    async with house.context() as ctx:
        await pausing.pause(ctx, str(wanted), {})


async def delete(house: House, wanted: UUID) -> None:
    async with house.context() as ctx:
        await notifications.delete(ctx, str(wanted), revision=None)


async def block(house: House, wanted: UUID) -> None:
    await house.sql("UPDATE notifications SET blocked_at = now() WHERE id = :id", id=wanted)


async def complete(house: House, wanted: UUID) -> None:
    await house.sql("UPDATE notifications SET completed_at = now() WHERE id = :id", id=wanted)


@pytest.mark.parametrize("stop", [pause, delete, block, complete])
async def test_only_active_notifications_are_planned(house: House, stop: Any) -> None:
    await stop(house, await house.create_due())
    assert await house.plan() == 0
    # what had come due before a notification was deleted stands in the ledger as canceled
    assert {row.status for row in await house.deliveries()} <= {"canceled"}


async def test_a_calendar_keeps_its_wall_time_across_a_change_of_the_clocks(house: House) -> None:
    rule = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "Europe/Berlin"}
    wanted = await house.create_due(schedule=rule)
    await set_schedule(house, wanted, {**rule, "end_at": "2026-03-30T12:00:00Z"})
    first = datetime(2026, 3, 27, 8, tzinfo=UTC)
    await house.sql("UPDATE notifications SET next_due_at = :at WHERE id = :id", id=wanted, at=first)
    await house.plan()
    assert [row.scheduled_for.strftime("%d %H:%M") for row in await house.deliveries()] == [
        "27 08:00",  # 09:00 - 1 h
        "28 08:00",
        "29 07:00",  # 09:00 - 2 h: in the night before, the clocks went forward
        "30 07:00",
    ]
    assert (await house.notification(wanted)).status == "completed"


@pytest.mark.parametrize(
    ("anchor", "due_ago", "expected"),
    [
        ("grid", "3 hours", 24),  # due + 24 h
        ("grid", "27 hours", 48),  # due + 2 x 24 h: the newest slot is due + 24 h
        ("delivered", "3 hours", 24),  # undelivered: slot + 24 h
    ],
)
async def test_an_interval_goes_on_from_its_slot(
    house: House, anchor: str, due_ago: str, expected: float
) -> None:
    wanted = await house.create_due(due_ago, schedule={**DAILY_GRID, "anchor": anchor})
    due = (await house.notification(wanted)).next_due_at
    await house.plan()
    assert hours((await house.notification(wanted)).next_due_at, due) == expected


async def test_the_last_slot_before_the_end_completes_a_notification(house: House) -> None:
    end = datetime.now(UTC) + timedelta(hours=1)
    wanted = await house.create_due()
    await set_schedule(house, wanted, {**DAILY_GRID, "end_at": end.isoformat(timespec="seconds")})
    await house.plan()
    row, delivery = await house.notification(wanted), await house.delivery()
    assert (row.status, row.next_due_at) == ("completed", None)
    assert row.completed_at is not None
    assert (delivery.status, delivery.start_by, delivery.expires_at) == ("pending", None, None)


async def test_deliveries_to_a_blocked_destination_are_held_and_not_rung_for(house: House) -> None:
    await house.create_due(to=["puppet:good", "puppet:blocked"])
    await house.sql("UPDATE destinations SET blocked_at = now() WHERE name = 'blocked'")
    await house.plan()
    rows = {row.status: row for row in await house.deliveries()}
    assert set(rows) == {"pending", "held"}
    assert await house.rung() == [Job(PROJECT, rows["pending"].id, 1).id]
    assert rows["held"].next_attempt_at is None


async def test_the_destinations_are_those_of_the_revision_that_is_planned(house: House) -> None:
    wanted = await house.create_due(to=["puppet:old"])
    async with house.database.transaction() as session:
        (taken,) = await planning.take_due(session, 10)
        found = await planning.destinations_of(session, [taken])
    ids = await house.sql(
        "SELECT destination_id FROM notification_destinations WHERE notification_id = :id", id=wanted
    )
    assert found == {(PROJECT, wanted): [row.destination_id for row in ids]}


async def test_a_sweep_leaves_a_sign_of_life(house: House) -> None:
    await house.plan()
    async with house.database.transaction() as session:
        age = await planning.age_of_beat(session, planner.SCHEDULER)
        assert age is not None
        assert age < 5
        assert await planning.age_of_beat(session, "nobody") is None


async def test_an_idle_sweep_is_four_statements(house: House) -> None:
    await house.create()
    seen: list[str] = []
    event.listen(
        house.database.engine.sync_engine,
        "before_cursor_execute",
        lambda *arguments: seen.append(arguments[2]),
    )
    await house.plan()
    assert len(seen) == 4, seen  # pauses that end, slots that are due, moved slots, the sign of life


async def test_of_a_row_that_fails_half_way_nothing_is_written_but_the_failure(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The put-off slot must not also be sent."""
    await house.create_due()

    def break_down(*_: object, **__: object) -> None:
        raise OverflowError

    monkeypatch.setattr(schedule, "start_by", break_down)
    await house.plan()
    delivery = await house.delivery()
    assert (delivery.status, delivery.reason) == ("failed", "planning_error")
    assert await house.rung() == []


async def test_a_downtime_that_made_many_slots_is_planned_in_several_transactions(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bulk_due(house, 12, ago="3 days")
    monkeypatch.setattr(planner, "MOST_DELIVERIES", 5)
    monkeypatch.setattr(planning, "ROWS_A_STATEMENT", 2)
    assert await house.plan() == 12
    assert Counter(row.status for row in await house.deliveries()) == {"missed": 36, "pending": 12}


async def test_a_planner_that_got_ready_has_planned_and_written_nothing(house: House) -> None:
    await house.create_due()
    await planner.get_ready(house.database)
    assert await house.deliveries() == []
    assert await house.plan() == 1
