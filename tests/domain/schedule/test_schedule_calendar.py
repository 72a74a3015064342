"""Calendar schedules: wall clock. Each row carries its sum; properties compare with the slow reading."""

from datetime import timedelta
from itertools import islice

import pytest
from schedule_reference import utc

from notifier.domain import schedule

DAY = timedelta(days=1)


def daily(timezone: str, *times: str, **more: object) -> schedule.Schedule:
    return schedule.parse(
        {
            "kind": "calendar",
            "frequency": "daily",
            "times": times and list(times),
            "timezone": timezone,
            **more,
        }
    )


def weekly(timezone: str, *weekdays: str, **more: object) -> schedule.Schedule:
    rule = {"frequency": "weekly", "times": ["09:00"], "weekdays": list(weekdays) or None}
    return schedule.parse({"kind": "calendar", "timezone": timezone, **rule, **more})


def monthly(**more: object) -> schedule.Schedule:
    rule = {"frequency": "monthly", "times": ["09:00"], "timezone": "UTC"}
    return schedule.parse({"kind": "calendar", **rule, **more})


def after(s: schedule.Schedule, text: str, count: int = 1) -> list[str]:
    """The next slots as `YYYY-MM-DDTHH:MMZ`."""
    found = islice(schedule.slots(s, after=utc(text), anchor=utc(text)), count)
    return [slot.strftime("%Y-%m-%dT%H:%MZ") for slot in found]


# zone, local time, from when, the slots of that local date under first / second
GOLDEN = [
    ("Europe/Berlin", "09:00", "2027-03-27", "2027-03-27T08:00Z", None),  # 9 - 1
    ("Europe/Berlin", "09:00", "2027-03-28", "2027-03-28T07:00Z", None),  # 9 - 2
    ("Europe/Berlin", "02:30", "2027-03-28", "2027-03-28T01:30Z", None),  # gap: 2:30 - 1
    ("Europe/Berlin", "02:30", "2027-10-31", "2027-10-31T00:30Z", "2027-10-31T01:30Z"),  # 2:30 - 2, - 1
    ("America/New_York", "02:30", "2027-03-14", "2027-03-14T07:30Z", None),  # gap: 2:30 + 5
    ("America/New_York", "01:30", "2027-11-07", "2027-11-07T05:30Z", "2027-11-07T06:30Z"),  # + 4, + 5
    ("Australia/Lord_Howe", "02:15", "2027-10-03", "2027-10-02T15:45Z", None),  # gap: 2:15 - 10:30
    ("America/Santiago", "00:00", "2027-09-05", "2027-09-05T04:00Z", None),  # gap: 0:00 + 4
    ("Africa/Cairo", "00:00", "2027-04-30", "2027-04-29T22:00Z", None),  # gap: 0:00 - 2
    # Morocco gave up changing its clocks on 2026-09-20 (tzdata 2026f): the overlap promised for
    # 2027-02-07 is gone, the last one was that of 2026-02-15.
    ("Africa/Casablanca", "02:30", "2027-02-07", "2027-02-07T02:30Z", None),  # 2:30 - 0
    ("Africa/Casablanca", "02:30", "2026-02-15", "2026-02-15T01:30Z", "2026-02-15T02:30Z"),  # - 1, - 0
    # More of our own
    ("UTC", "23:59", "2028-02-29", "2028-02-29T23:59Z", None),  # the leap day
    ("Asia/Kolkata", "00:00", "2027-01-01", "2026-12-31T18:30Z", None),  # 0:00 - 5:30
    ("Asia/Kathmandu", "06:00", "2027-06-01", "2027-06-01T00:15Z", None),  # 6:00 - 5:45
    ("Pacific/Kiritimati", "12:00", "2027-01-01", "2026-12-31T22:00Z", None),  # 12 - 14
    ("Pacific/Pago_Pago", "12:00", "2027-01-01", "2027-01-01T23:00Z", None),  # 12 + 11
    ("Pacific/Chatham", "02:45", "2027-09-26", "2027-09-25T14:00Z", None),  # gap 2:45-3:45: 2:45 - 12:45
    ("Pacific/Chatham", "03:00", "2027-04-04", "2027-04-03T13:15Z", "2027-04-03T14:15Z"),  # - 13:45, - 12:45
    ("Europe/London", "01:30", "2027-03-28", "2027-03-28T01:30Z", None),  # gap: 1:30 - 0
    ("Europe/London", "01:30", "2027-10-31", "2027-10-31T00:30Z", "2027-10-31T01:30Z"),  # - 1, - 0
    ("Europe/Dublin", "01:30", "2027-10-31", "2027-10-31T00:30Z", "2027-10-31T01:30Z"),  # winter is the DST
    ("Australia/Lord_Howe", "01:45", "2027-04-04", "2027-04-03T14:45Z", "2027-04-03T15:15Z"),  # - 11, - 10:30
    ("Australia/Sydney", "02:30", "2027-10-03", "2027-10-02T16:30Z", None),  # gap: 2:30 - 10
    ("America/Nuuk", "23:30", "2027-03-27", "2027-03-28T01:30Z", None),  # gap 23-24: 23:30 + 2
    ("America/St_Johns", "02:15", "2027-03-14", "2027-03-14T05:45Z", None),  # gap: 2:15 + 3:30
    ("Antarctica/Troll", "01:30", "2027-03-28", "2027-03-28T01:30Z", None),  # gap of two hours: 1:30 - 0
    ("Antarctica/Troll", "01:30", "2027-10-31", "2027-10-30T23:30Z", "2027-10-31T01:30Z"),  # - 2, - 0
    ("Asia/Beirut", "00:00", "2027-03-28", "2027-03-27T22:00Z", None),  # gap at midnight: 0:00 - 2
    ("America/Havana", "00:30", "2025-11-02", "2025-11-02T04:30Z", "2025-11-02T05:30Z"),  # + 4, + 5
    ("Asia/Pyongyang", "23:45", "2018-05-04", "2018-05-04T15:15Z", None),  # gap 23:30-24:00: 23:45 - 8:30
    ("America/Caracas", "02:45", "2016-05-01", "2016-05-01T07:15Z", None),  # gap 2:30-3:00: 2:45 + 4:30
    ("Europe/Istanbul", "03:30", "2016-03-27", "2016-03-27T01:30Z", None),  # gap: 3:30 - 2
    ("Asia/Manila", "12:00", "2027-01-01", "2027-01-01T04:00Z", None),  # 12 - 8
    ("Pacific/Apia", "09:00", "2011-12-29", "2011-12-29T19:00Z", None),  # 9 + 10, the last of the old side
    ("Pacific/Apia", "09:00", "2011-12-31", "2011-12-30T19:00Z", None),  # 9 - 14, the first of the new side
]


@pytest.mark.parametrize(("zone", "at", "day", "first", "second"), GOLDEN)
def test_a_local_time_becomes_this_instant(
    zone: str, at: str, day: str, first: str, second: str | None
) -> None:
    start = (utc(first) - timedelta(hours=20)).isoformat()
    dates = {"start_date": day}
    assert after(daily(zone, at, **dates), start) == [first]
    assert after(daily(zone, at, dst={"overlap": "second"}, **dates), start) == [second or first]
    both = [first, second] if second else [first]
    assert after(daily(zone, at, dst={"overlap": "both"}, **dates), start, 2)[: len(both)] == both


def test_a_date_that_is_missing_as_a_whole_is_dropped() -> None:
    # Samoa went from 2011-12-29 to 2011-12-31. 12-30 09:00 - (-10) = 12-30T19:00Z, which is 12-31 09:00.
    expected = ["2011-12-29T19:00Z", "2011-12-30T19:00Z", "2011-12-31T19:00Z"]
    assert after(daily("Pacific/Apia", "09:00"), "2011-12-29T00:00Z", 3) == expected
    # Two times: 00:30 and 23:30 of the missing date would come at 12-30T10:30Z and 12-31T09:30Z, that is
    # with and after 12-31 00:30 (12-30T10:30Z): both are dropped.
    expected = ["2011-12-29T10:30Z", "2011-12-30T09:30Z", "2011-12-30T10:30Z", "2011-12-31T09:30Z"]
    assert after(daily("Pacific/Apia", "00:30", "23:30"), "2011-12-29T10:00Z", 4) == expected


def test_a_weekly_slot_on_the_missing_date_is_shifted_as_the_next_one_is_far() -> None:
    # Friday 2011-12-30 09:00 read with the old offset: 12-30T19:00Z, Saturday 09:00 on the new side.
    assert after(weekly("Pacific/Apia", "fri"), "2011-12-29T00:00Z", 2) == [
        *("2011-12-30T19:00Z", "2012-01-05T19:00Z"),
    ]


def test_a_shifted_slot_that_does_not_come_before_the_next_one_is_dropped() -> None:
    # Berlin, 2027-03-28: 02:30 would be 01:30Z; 03:00 is 01:00Z, 03:30 is 01:30Z, 03:31 is 01:31Z.
    start = "2027-03-27T12:00Z"
    assert after(daily("Europe/Berlin", "02:30", "03:00"), start, 1) == ["2027-03-28T01:00Z"]
    assert after(daily("Europe/Berlin", "02:30", "03:30"), start, 2) == [
        *("2027-03-28T01:30Z", "2027-03-29T00:30Z"),
    ]
    assert after(daily("Europe/Berlin", "02:30", "03:31"), start, 2) == [
        *("2027-03-28T01:30Z", "2027-03-28T01:31Z"),
    ]


def test_under_skip_a_missing_local_time_is_left_out() -> None:
    s = daily("Europe/Berlin", "02:30", dst={"gap": "skip"})
    assert after(s, "2027-03-27T00:00Z", 2) == ["2027-03-27T01:30Z", "2027-03-29T00:30Z"]


def test_under_both_the_slots_of_a_repeated_hour_come_in_the_order_of_time() -> None:
    s = daily("Europe/Berlin", "02:15", "02:45", "03:00", dst={"overlap": "both"})
    assert after(s, "2027-10-30T12:00Z", 5) == [
        *("2027-10-31T00:15Z", "2027-10-31T00:45Z"),  # 2:15 - 2, 2:45 - 2
        *("2027-10-31T01:15Z", "2027-10-31T01:45Z"),  # 2:15 - 1, 2:45 - 1
        "2027-10-31T02:00Z",  # 3:00 - 1
    ]


@pytest.mark.parametrize(
    ("s", "start", "expected"),
    [
        # Mondays and Fridays; 2026-11-22 is a Sunday. 9 - 1 = 08:00Z.
        (weekly("Europe/Berlin", "fri", "mon"), "2026-11-22", ["2026-11-23T08:00Z", "2026-11-27T08:00Z"]),
        # Every second week from Thursday 2026-11-19: + 14 days.
        (
            weekly("UTC", every=2, start_date="2026-11-19"),
            "2026-11-22",
            ["2026-12-03T09:00Z", "2026-12-17T09:00Z"],
        ),
        # Weeks begin on Monday: the Tuesday of the start's week lies before the start, so the next one
        # is that of the second week after, 2026-11-17 + 14.
        (
            weekly("UTC", "tue", "thu", every=2, start_date="2026-11-19"),
            "2026-11-01",
            ["2026-11-19T09:00Z", "2026-12-01T09:00Z", "2026-12-03T09:00Z"],
        ),
        # Every third day from 2026-11-20: 20, 23, 26.
        (
            daily("UTC", "09:00", every=3, start_date="2026-11-20"),
            "2026-11-20T09:00",
            ["2026-11-23T09:00Z", "2026-11-26T09:00Z"],
        ),
        # Not before its start date, although the times would fit.
        (daily("UTC", "09:00", start_date="2026-12-24"), "2026-11-22", ["2026-12-24T09:00Z"]),
        # start_at is inclusive on the slot, and end_at too.
        (
            daily("UTC", "09:00", start_at="2026-11-25T09:00:00Z", end_at="2026-11-26T09:00:00Z"),
            "2026-11-22",
            ["2026-11-25T09:00Z", "2026-11-26T09:00Z"],
        ),
        (daily("UTC", "09:00", start_at="2026-11-25T09:00:01Z"), "2026-11-22", ["2026-11-26T09:00Z"]),
        (daily("UTC", "09:00", end_at="2026-11-22T08:59:59Z"), "2026-11-22", []),
        # A slot at `after` itself is not after it.
        (daily("UTC", "09:00"), "2026-11-22T09:00", ["2026-11-23T09:00Z"]),
    ],
)
def test_the_rule_gives_these_slots(s: schedule.Schedule, start: str, expected: list[str]) -> None:
    start = start if "T" in start else f"{start}T00:00"
    assert after(s, f"{start}Z", max(1, len(expected))) == expected


@pytest.mark.parametrize(
    ("days", "start", "expected"),
    [
        ({"month_days": [31]}, "2027-01-31", ["01-31", "02-28", "03-31", "04-30"]),  # clamped
        ({"month_days": [31], "month_day_policy": "skip"}, "2027-01-31", ["01-31", "03-31", "05-31"]),
        ({"month_days": [-1]}, "2028-02-01", ["02-29", "03-31", "04-30"]),  # 2028 is a leap year
        ({"month_days": [29, 30, 31, -1]}, "2027-02-01", ["02-28", "03-29", "03-30", "03-31"]),  # once
        ({"month_days": [15, 1]}, "2026-11-22", ["12-01", "12-15", "01-01"]),
        ({"start_date": "2026-11-30"}, "2026-11-22", ["11-30", "12-30", "01-30", "02-28", "03-30"]),
        # Every third month from November: November, February, May.
        ({"every": 3, "start_date": "2026-11-30"}, "2026-11-22", ["11-30", "02-28", "05-30"]),
        # Every year on the leap day, clamped: 12 months.
        ({"every": 12, "start_date": "2028-02-29"}, "2028-02-01", ["02-29", "02-28", "02-28"]),
        # November 2026 begins on a Sunday: its Tuesdays are 3, 10, 17, 24; December's 1, 8.
        ({"nth_weekdays": [{"nth": 2, "weekday": "tue"}]}, "2026-11-01", ["11-10", "12-08"]),
        # The last Friday: November 27, December 25.
        ({"nth_weekdays": [{"nth": -1, "weekday": "fri"}]}, "2026-11-01", ["11-27", "12-25"]),
        # A fifth Monday: November 30 (2, 9, 16, 23, 30); December has four; then March 29, 2027.
        ({"nth_weekdays": [{"nth": 5, "weekday": "mon"}]}, "2026-11-01", ["11-30", "03-29"]),
    ],
)
def test_a_month_has_these_days(days: dict[str, object], start: str, expected: list[str]) -> None:
    found = after(monthly(**days), f"{start}T00:00Z", len(expected))
    assert [slot[5:10] for slot in found] == expected


def test_a_day_that_no_month_of_the_rule_has_never_comes() -> None:
    s = monthly(month_days=[31], month_day_policy="skip", every=12, start_date="2027-02-01")
    assert schedule.first_slot(s, now=utc("2026-11-22T00:00Z")) is None


def test_a_calendar_starts_strictly_after_now_and_its_anchor_plays_no_part() -> None:
    s = daily("UTC", "09:00")
    now = utc("2026-11-22T09:00Z")
    assert schedule.first_slot(s, now=now) == now + DAY
    assert schedule.next_slot(s, after=now, anchor=now - 99 * DAY) == now + DAY
    assert not schedule.drifts(s)
    assert schedule.kind(s) == "calendar"


def test_a_slot_is_shown_in_its_zone() -> None:
    slot = schedule.local(daily("Europe/Berlin", "09:00"), utc("2027-03-28T07:00Z"))
    assert (slot.isoformat(), slot.tzname()) == ("2027-03-28T09:00:00+02:00", "CEST")


def test_a_schedule_of_1970_has_the_same_next_slot_as_one_of_today() -> None:
    old = daily("Europe/Berlin", "09:00", every=1, start_date="1970-01-01")
    assert after(old, "2026-11-22T12:00Z", 2) == ["2026-11-23T08:00Z", "2026-11-24T08:00Z"]


def test_nothing_is_planned_beyond_the_horizon() -> None:
    assert after(daily("UTC", "09:00"), "2199-12-30T12:00Z", 2) == ["2199-12-31T09:00Z"]


# ------------------------------------------------------------------ what was missed


def test_of_three_missed_days_the_newest_is_found_and_two_are_older() -> None:
    s = daily("Europe/Berlin", "09:00")
    found = schedule.missed(
        s, first_due=utc("2027-03-27T08:00Z"), now=utc("2027-03-29T20:00Z"), anchor=utc("2020-01-01T00:00Z")
    )
    assert found.latest == utc("2027-03-29T07:00Z")
    assert found.older == (utc("2027-03-27T08:00Z"), utc("2027-03-28T07:00Z"))
    assert found.older_count == 2


def test_a_first_due_that_the_rule_does_not_have_counts_all_the_same() -> None:
    s = daily("UTC", "09:00")
    moved = utc("2026-11-20T11:11Z")
    found = schedule.missed(s, first_due=moved, now=utc("2026-11-21T10:00Z"), anchor=moved)
    assert (found.first, found.older, found.latest) == (moved, (moved,), utc("2026-11-21T09:00Z"))


def test_ten_years_of_missed_slots_are_counted_without_walking_through_them() -> None:
    s = daily("Europe/Berlin", *(f"{hour:02}:00" for hour in range(24)), dst={"overlap": "both"})
    found = schedule.missed(
        s,
        first_due=utc("2016-11-22T00:00Z"),
        now=utc("2026-11-22T00:00Z"),
        anchor=utc("2016-11-22T00:00Z"),
        keep=1,
    )
    # Every hour of ten years (3652 days), less none: each gap's 02:00 falls on the slot of 03:00.
    assert found.older_count == 3652 * 24
    assert found.older == (utc("2026-11-21T23:00Z"),)
