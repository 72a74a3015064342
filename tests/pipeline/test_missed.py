"""What the planner writes for slots that passed while nothing ran."""

from datetime import timedelta
from typing import Any

import pytest

from notifier.clock import cpu_seconds
from notifier.pipeline import plans
from tests.pipeline.conftest import Begin
from tests.pipeline.timeline import Line, shown, utc

DAILY = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "Europe/Berlin"}
EVERY_MINUTE = {"kind": "cron", "expression": "* * * * *", "timezone": "Europe/Berlin"}
COALESCED, TOO_LATE = "missed(coalesced)", "missed(grace_exceeded)"


def days(*fates: str) -> list[Line]:
    """Return the slots from the 20th of January on, 09:00 in Berlin, which is 08:00 UTC."""
    return [(f"2027-01-{20 + n}T08:00", fate) for n, fate in enumerate(fates)]


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        # up again on the 22nd at 10:00 UTC: the slots are 50, 26 and 2 hours late
        ({}, days(COALESCED, COALESCED, "pending")),
        ({"policy": "latest", "grace": "PT1H"}, days(TOO_LATE, TOO_LATE, TOO_LATE)),
        ({"policy": "latest", "grace": "PT30H"}, days(TOO_LATE, COALESCED, "pending")),
        ({"policy": "all"}, days("pending", "pending", "pending")),
        ({"policy": "all", "max": 2}, days(COALESCED, "pending", "pending")),
        ({"policy": "all", "max": 1}, days(COALESCED, COALESCED, "pending")),
        ({"policy": "all", "grace": "PT30H"}, days(TOO_LATE, "pending", "pending")),
        ({"policy": "skip"}, days(TOO_LATE, TOO_LATE, TOO_LATE)),
        ({"policy": "skip", "grace": "PT2H"}, days(TOO_LATE, TOO_LATE, "pending")),
    ],
    ids=str,
)
async def test_after_a_stop_over_three_daily_slots_the_policy_says_what_is_sent(
    begin: Begin, missed: dict[str, Any], expected: list[Line]
) -> None:
    timeline = await begin("2027-01-19T12:00")
    wanted = await timeline.create({**DAILY, "missed": missed})
    await timeline.sweep("2027-01-22T10:00")
    assert await timeline.ledger() == expected
    row = await timeline.notification(wanted)
    assert (shown(row.last_slot_at), shown(row.next_due_at)) == ("2027-01-22T08:00", "2027-01-23T08:00")
    assert await timeline.sweep("2027-01-22T10:01") == 0


async def test_each_destination_has_a_row_of_its_own_for_every_slot(begin: Begin) -> None:
    timeline = await begin("2027-01-19T12:00")
    await timeline.create(DAILY, to=["puppet:a", "puppet:b"])
    await timeline.sweep("2027-01-21T10:00")
    assert await timeline.ledger() == [
        ("2027-01-20T08:00", COALESCED),
        ("2027-01-20T08:00", COALESCED),
        ("2027-01-21T08:00", "pending"),
        ("2027-01-21T08:00", "pending"),
    ]


# From 12:00 of the first day of 2017 to 00:00 of the last of 2026 are 3651 days less 12 hours.
TEN_YEARS = 3651 * 24 * 60 - 12 * 60


@pytest.mark.parametrize(
    ("schedule", "slots", "first"),
    [
        (DAILY, 3650, "2017-01-02T08:00"),  # from the 2nd of January to the 30th of December
        # each autumn 02:00 to 02:59 come twice, and the first time counts
        (EVERY_MINUTE, TEN_YEARS - 10 * 60, "2017-01-01T12:01"),
        ({"kind": "interval", "every": "PT1M", "anchor": "grid"}, TEN_YEARS, "2017-01-01T12:01"),
        ({"kind": "interval", "every": "PT1M"}, TEN_YEARS, "2017-01-01T12:01"),
    ],
    ids=["daily", "cron of every minute", "grid of a minute", "interval of a minute"],
)
async def test_ten_years_of_downtime_are_one_range_and_a_few_rows_and_take_no_time(
    begin: Begin, schedule: dict[str, Any], slots: int, first: str
) -> None:
    timeline = await begin("2017-01-01T12:00")
    await timeline.create(schedule)
    began = cpu_seconds()
    await timeline.sweep("2026-12-31T00:00")
    assert cpu_seconds() - began < 1.5
    range_, *listed = await timeline.rows()
    assert shown(range_.scheduled_for) == first
    assert (range_.slot_count, range_.range_end) == (
        slots - plans.MOST_MISSED_LISTED - 1,
        listed[0].scheduled_for,
    )
    assert [row.status for row in listed] == ["missed"] * plans.MOST_MISSED_LISTED + ["pending"]
    assert {row.slot_count for row in listed} == {1}


async def test_dates_left_out_and_holidays_are_skipped_with_their_reason(begin: Begin) -> None:
    timeline = await begin("2026-12-22T12:00")
    await timeline.create(
        {**DAILY, "exclude_dates": ["2026-12-24"], "holidays": "DE", "missed": {"policy": "all", "max": 9}}
    )
    await timeline.sweep("2026-12-27T12:00")
    assert await timeline.ledger() == [
        ("2026-12-23T08:00", "pending"),
        ("2026-12-24T08:00", "skipped(excluded)"),
        ("2026-12-25T08:00", "skipped(holiday)"),
        ("2026-12-26T08:00", "skipped(holiday)"),
        ("2026-12-27T08:00", "pending"),
    ]


async def test_the_newest_slot_is_sent_that_is_not_left_out(begin: Begin) -> None:
    timeline = await begin("2026-12-22T12:00")
    await timeline.create({**DAILY, "holidays": "DE"})
    await timeline.sweep("2026-12-26T12:00")
    assert await timeline.ledger() == [
        ("2026-12-23T08:00", COALESCED),
        ("2026-12-24T08:00", "pending"),
        ("2026-12-25T08:00", "skipped(holiday)"),
        ("2026-12-26T08:00", "skipped(holiday)"),
    ]


async def test_the_last_slot_is_the_one_at_the_end(begin: Begin) -> None:
    timeline = await begin("2027-01-19T12:00")
    wanted = await timeline.create({**DAILY, "end_at": "2027-01-21T08:00:00Z"})
    await timeline.advance("2027-01-31T00:00")
    assert await timeline.ledger() == days("delivered", "delivered")
    row = await timeline.notification(wanted)
    assert (row.status, shown(row.completed_at), row.next_due_at) == ("completed", "2027-01-21T08:00", None)


@pytest.mark.parametrize("to", ["2027-01-20T07:59", "2027-01-20T08:00"])
async def test_once_is_completed_with_its_slot(begin: Begin, to: str) -> None:
    timeline = await begin("2027-01-19T12:00")
    wanted = await timeline.create({"kind": "once", "at": "2027-01-20T09:00", "timezone": "Europe/Berlin"})
    await timeline.advance(to)
    is_over = to == "2027-01-20T08:00"
    assert (await timeline.notification(wanted)).status == ("completed" if is_over else "active")
    assert await timeline.ledger() == (days("delivered") if is_over else [])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (
            {"kind": "cron", "expression": "30 2 * * *", "timezone": "Europe/Berlin"},
            # 02:30 - 1 h; in the gap of the 28th with the old offset; 02:30 - 2 h
            ["2027-03-27T01:30", "2027-03-28T01:30", "2027-03-29T00:30"],
        ),
        (
            {
                "kind": "rrule",
                "rrule": "FREQ=DAILY",
                "dtstart": "2027-03-01T02:30:00",
                "timezone": "Europe/Berlin",
            },
            # as the RFC has it, 02:30 of the 28th is no instant
            ["2027-03-27T01:30", "2027-03-29T00:30"],
        ),
        (
            {"kind": "cron", "expression": "0 9 * * *", "timezone": "Europe/Berlin"},
            ["2027-03-27T08:00", "2027-03-28T07:00", "2027-03-29T07:00"],
        ),
    ],
    ids=["cron in the gap", "rrule in the gap", "cron beside it"],
)
@pytest.mark.parametrize("down", [False, True])
async def test_wall_clock_rules_keep_their_time_when_the_clocks_change(
    begin: Begin, schedule: dict[str, Any], expected: list[str], down: bool
) -> None:
    timeline = await begin("2027-03-26T12:00")
    await timeline.create({**schedule, "missed": {"policy": "all", "max": 9}})
    await timeline.advance("2027-03-29T12:00", down=down)
    await timeline.sweep()
    assert [slot for slot, _ in await timeline.ledger()] == expected


async def test_a_late_message_says_how_late_it_is(begin: Begin) -> None:
    timeline = await begin("2027-01-19T12:00")
    await timeline.create(DAILY)
    await timeline.advance("2027-01-20T10:30", down=True)
    done = await timeline.advance("2027-01-20T10:30")
    (message,) = done.messages
    assert message.late_by == timedelta(hours=2, minutes=30)
    assert message.sent_at == utc("2027-01-20T10:30")
