"""`max_occurrences`: so many slots are delivered, partly delivered or failed; then it is completed."""

from collections import Counter
from typing import Any

import pytest

from notifier.domain.delivery import AttemptOutcome, Outcome, Reason
from notifier.pipeline import rescuer
from notifier.services import exceptions, pausing
from notifier.services import notifications as notification_service
from tests.pipeline.conftest import Begin
from tests.pipeline.timeline import Timeline, shown, utc

DAILY = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "UTC"}


def thrice(**more: Any) -> dict[str, Any]:
    return {**DAILY, "max_occurrences": 3, **more}


async def state(timeline: Timeline, wanted: str) -> tuple[str, int, str | None]:
    row = await timeline.notification(wanted)
    return row.status, row.slots_sent, shown(row.next_due_at)


@pytest.mark.parametrize("most", [1, 3])
async def test_after_so_many_slots_a_notification_is_completed(begin: Begin, most: int) -> None:
    timeline = await begin("2027-01-19T12:00")
    wanted = await timeline.create({**DAILY, "max_occurrences": most})
    await timeline.advance("2027-02-19T12:00")
    assert await timeline.ledger() == [(f"2027-01-{20 + n}T09:00", "delivered") for n in range(most)]
    assert await state(timeline, wanted) == ("completed", most, None)


@pytest.mark.parametrize("down_for_days", [1, 2, 3, 4, 9])
async def test_under_the_policy_all_no_more_are_sent_than_are_left(begin: Begin, down_for_days: int) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(thrice(missed={"policy": "all", "max": 9}))
    await timeline.advance("2027-01-02T12:00")
    await timeline.advance(f"2027-01-{2 + down_for_days:02}T12:00", down=True)
    await timeline.advance("2027-02-01T12:00")
    assert Counter(how for _, how in await timeline.ledger()) == {"delivered": 3}
    assert await state(timeline, wanted) == ("completed", 3, None)


async def test_slots_left_out_or_missed_do_not_count(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(thrice(exclude_dates=["2027-01-03"]))
    await timeline.advance("2027-01-06T12:00", down=True)
    await timeline.advance("2027-02-01T12:00")
    assert await timeline.ledger() == [
        ("2027-01-02T09:00", "missed(coalesced)"),
        ("2027-01-03T09:00", "skipped(excluded)"),
        ("2027-01-04T09:00", "missed(coalesced)"),
        ("2027-01-05T09:00", "missed(coalesced)"),
        ("2027-01-06T09:00", "delivered"),
        ("2027-01-07T09:00", "delivered"),
        ("2027-01-08T09:00", "delivered"),
    ]
    assert await state(timeline, wanted) == ("completed", 3, None)


async def plan_only(timeline: Timeline, at: str) -> None:
    """Have the slots of an instant planned while no worker runs."""
    await timeline.sweep(at)
    await rescuer.expire(timeline.database)


async def test_a_slot_that_nobody_picked_up_does_not_count(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create({**DAILY, "max_occurrences": 1})
    await plan_only(timeline, "2027-01-02T09:00")
    assert await state(timeline, wanted) == ("completed", 1, None)
    # its time is over when the next slot begins, so the notification goes on with that one
    await timeline.set_clock("2027-01-03T09:00")
    await timeline.advance("2027-02-01T12:00")
    assert await timeline.ledger() == [
        ("2027-01-02T09:00", "missed(grace_exceeded)"),
        ("2027-01-03T09:00", "delivered"),
    ]
    assert await state(timeline, wanted) == ("completed", 1, None)


async def test_what_was_completed_by_its_rule_stays_so(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(thrice(end_at="2027-01-05T00:00:00Z"))
    await plan_only(timeline, "2027-01-02T09:00")
    async with timeline.context() as ctx:
        await pausing.pause(ctx, wanted, {})
    await timeline.set_clock("2027-01-06T12:00")
    async with timeline.context() as ctx:
        await pausing.resume(ctx, wanted)
    await timeline.advance("2027-01-08T12:00")
    assert await timeline.ledger() == [
        ("2027-01-02T09:00", "missed(grace_exceeded)"),
        ("2027-01-03T09:00", "skipped(paused) x2 to 2027-01-06T12:00"),
    ]
    assert await state(timeline, wanted) == ("completed", 0, None)


async def test_a_slot_counts_if_one_of_its_destinations_was_tried(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create({**DAILY, "max_occurrences": 1}, to=["puppet:a", "puppet:b"])
    await plan_only(timeline, "2027-01-02T09:00")
    first, _second = await timeline.rows()
    await timeline.deliver(first)
    await plan_only(timeline, "2027-01-03T09:00")
    assert sorted(how for _, how in await timeline.ledger()) == ["delivered", "missed(grace_exceeded)"]
    assert await state(timeline, wanted) == ("completed", 1, None)


async def test_a_slot_of_two_destinations_is_given_back_once(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(thrice(), to=["puppet:a", "puppet:b"])
    await plan_only(timeline, "2027-01-02T09:00")
    assert (await timeline.notification(wanted)).slots_sent == 1
    await timeline.set_clock("2027-01-03T09:00")
    for _ in range(3):
        await rescuer.expire(timeline.database)
    assert (await timeline.notification(wanted)).slots_sent == 0


async def test_a_failed_slot_counts(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create({**DAILY, "max_occurrences": 1})
    await timeline.sweep("2027-01-02T09:00")
    (row,) = await timeline.rows()
    timeline.house.puppet.script.append(
        Outcome(AttemptOutcome.REJECTED, 550, "no such user", reason=Reason.RECIPIENT_REJECTED)
    )
    await timeline.deliver(row)
    await timeline.advance("2027-02-01T12:00")
    assert await timeline.ledger() == [("2027-01-02T09:00", "failed(recipient_rejected)")]
    assert await state(timeline, wanted) == ("completed", 1, None)


async def test_a_new_schedule_counts_afresh_and_owes_nothing_to_the_old_one(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(thrice())
    await plan_only(timeline, "2027-01-02T09:00")
    async with timeline.context() as ctx:
        await notification_service.update(
            ctx, wanted, {"schedule": {**thrice(), "times": ["10:00"]}}, revision=None
        )
    await timeline.set_clock("2027-01-03T09:30")
    await rescuer.expire(timeline.database)
    assert [how for _, how in await timeline.ledger()] == ["missed(grace_exceeded)"]
    assert (await timeline.notification(wanted)).slots_sent == 0
    await timeline.advance("2027-02-01T12:00")
    assert Counter(how for _, how in await timeline.ledger())["delivered"] == 3


@pytest.mark.parametrize(
    ("slot", "move_to", "expected"),
    [
        # later, within the rule
        ("2027-01-02T09:00", "2027-01-02T15:00", ["02T15:00", "03T09:00", "04T09:00"]),
        # behind the end of the rule
        ("2027-01-04T09:00", "2027-01-20T15:00", ["02T09:00", "03T09:00", "20T15:00"]),
        # earlier than the slots before it
        ("2027-01-04T09:00", "2027-01-01T15:00", ["01T15:00", "02T09:00", "03T09:00"]),
    ],
)
async def test_a_moved_slot_counts_once(begin: Begin, slot: str, move_to: str, expected: list[str]) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create(thrice())
    async with timeline.context() as ctx:
        draft = {"slot": utc(slot), "action": "move", "move_to": utc(move_to), "title": None, "body": None}
        await exceptions.create(ctx, wanted, draft)
    await timeline.advance("2027-02-01T12:00")
    delivered = [at.removeprefix("2027-01-") for at, how in await timeline.ledger() if how == "delivered"]
    assert delivered == expected
    assert (await state(timeline, wanted))[:2] == ("completed", 3)
