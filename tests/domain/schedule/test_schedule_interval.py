"""Interval schedules: elapsed time. Each row carries its sum."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_reference import utc

from notifier.domain import schedule

NOW = utc("2026-11-22T12:00:00Z")
INSTANTS = st.integers(0, 5_700_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
PERIODS = st.integers(60, 10 * 366 * 86400)


def interval(every: str = "daily", **more: object) -> schedule.Schedule:
    return schedule.parse({"kind": "interval", "every": every, **more})


@pytest.mark.parametrize(
    ("every", "period"),
    [
        ("daily", timedelta(hours=24)),
        ("weekly", timedelta(hours=168)),  # 7 x 24
        ("PT1M", timedelta(minutes=1)),
        ("PT60S", timedelta(seconds=60)),
        ("PT6H", timedelta(hours=6)),
        ("P1D", timedelta(days=1)),
        ("P2W", timedelta(days=14)),
        ("P1DT12H30M15S", timedelta(seconds=86400 + 43200 + 1800 + 15)),
        ("P3660D", timedelta(days=3660)),
    ],
)
def test_a_period_is_elapsed_time(every: str, period: timedelta) -> None:
    assert schedule.first_slot(interval(every), now=NOW) == NOW + period


def test_a_day_is_24_hours_even_when_the_clocks_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    before = datetime(2027, 3, 27, 9, 0, tzinfo=berlin).astimezone(UTC)  # 08:00Z
    slot = schedule.next_slot(interval(), after=before, anchor=before)
    assert slot == utc("2027-03-28T08:00Z")
    assert slot.astimezone(berlin).hour == 10  # 08:00Z + 2 h of summer time


@pytest.mark.parametrize(
    ("start_at", "first"),
    [
        ("2026-11-22T13:00:00Z", "2026-11-22T13:00:00Z"),  # in an hour
        ("2026-11-22T12:00:00Z", "2026-11-22T12:00:00Z"),  # now
        ("2026-11-22T11:55:00Z", "2026-11-22T11:55:00Z"),  # 5 minutes ago still means now
        ("2026-11-22T11:54:59Z", "2026-11-23T11:54:59Z"),  # older: + 1 x 24 h is the first after now
        ("2026-11-20T15:00:00Z", "2026-11-22T15:00:00Z"),  # + 2 x 24 h
        ("1970-01-01T00:00:00Z", "2026-11-23T00:00:00Z"),  # midnight stays midnight
    ],
)
@pytest.mark.parametrize("anchor", ["delivered", "grid"])
def test_the_first_slot_is_start_at_but_nothing_is_sent_for_the_past(
    anchor: str, start_at: str, first: str
) -> None:
    s = interval(anchor=anchor, start_at=start_at)
    assert schedule.first_slot(s, now=NOW) == utc(first)


@pytest.mark.parametrize(
    ("after", "anchor", "expected"),
    [
        # The slot 09:00 was delivered at 09:05: one period after the delivery, not the delivery itself.
        ("2026-11-22T09:00Z", "2026-11-22T09:05Z", "2026-11-22T15:05Z"),
        # Anchor and slot coincide: 12:00 + 6 h.
        ("2026-11-22T12:00Z", "2026-11-22T12:00Z", "2026-11-22T18:00Z"),
        # 13 h after the anchor, so the third step: 00:00 + 3 x 6 h.
        ("2026-11-22T13:00Z", "2026-11-22T00:00Z", "2026-11-22T18:00Z"),
        # Exactly on a step is not after it: 00:00 + 3 x 6 h.
        ("2026-11-22T12:00Z", "2026-11-22T00:00Z", "2026-11-22T18:00Z"),
        # 20780 days of 4 steps since 1970: the next one is 6 h later.
        ("2026-11-23T00:00Z", "1970-01-01T00:00Z", "2026-11-23T06:00Z"),
    ],
)
def test_the_next_slot_is_the_first_step_from_the_anchor_after_the_last(
    after: str, anchor: str, expected: str
) -> None:
    slot = schedule.next_slot(interval("PT6H"), after=utc(after), anchor=utc(anchor))
    assert slot == utc(expected)


def test_no_slot_comes_before_start_at_and_the_grid_counts_from_it() -> None:
    s = interval("PT6H", anchor="grid", start_at="2026-12-01T01:00:00Z")
    assert schedule.next_slot(s, after=NOW, anchor=NOW) == utc("2026-12-01T01:00Z")
    slot = schedule.next_slot(s, after=utc("2026-12-01T01:00Z"), anchor=NOW)
    assert slot == utc("2026-12-01T07:00Z")  # start_at + 6 h, not NOW + n x 6 h


def test_a_clock_restarted_at_resume_counts_from_the_resume() -> None:
    s = interval("PT6H", anchor="grid", start_at="2026-11-01T00:00:00Z")
    resumed = utc("2026-11-22T12:34Z")
    assert schedule.next_slot(s, after=resumed, anchor=resumed) == utc("2026-11-22T18:34Z")


def test_end_at_is_the_last_slot_allowed() -> None:
    s = interval("PT6H", start_at="2026-11-22T12:00:00Z", end_at="2026-11-23T00:00:00Z")
    anchor = schedule.first_anchor(s, now=NOW)
    assert list(schedule.slots(s, after=NOW, anchor=anchor)) == [
        utc("2026-11-22T18:00Z"),  # 12:00 + 1 x 6 h
        utc("2026-11-23T00:00Z"),  # 12:00 + 2 x 6 h, which is end_at
    ]
    assert schedule.next_slot(s, after=utc("2026-11-23T00:00Z"), anchor=anchor) is None


def test_nothing_is_planned_beyond_the_horizon() -> None:
    last = schedule.HORIZON - timedelta(hours=1)
    assert schedule.next_slot(interval(), after=last, anchor=last) is None


@pytest.mark.parametrize(
    ("first_due", "now", "latest", "older"),
    [
        ("2026-11-19T09:00Z", "2026-11-21T10:00Z", "2026-11-21T09:00Z", ["19", "20"]),  # 2 d 1 h: 2 steps
        ("2026-11-19T09:00Z", "2026-11-19T09:00Z", "2026-11-19T09:00Z", []),  # due this instant
        ("2026-11-19T09:00Z", "2026-11-20T08:59Z", "2026-11-19T09:00Z", []),  # 23 h 59 min: 0 steps
        ("2026-11-19T09:00Z", "2026-11-20T09:00Z", "2026-11-20T09:00Z", ["19"]),  # 24 h: 1 step
    ],
)
def test_missed_slots_follow_one_another_by_the_period(
    first_due: str, now: str, latest: str, older: list[str]
) -> None:
    found = schedule.missed(interval(), first_due=utc(first_due), now=utc(now), anchor=NOW)
    assert found.latest == utc(latest)
    assert found.older == tuple(utc(f"2026-11-{day}T09:00Z") for day in older)
    assert found.older_count == len(older)


def test_ten_years_of_missed_minutes_are_counted_and_the_list_is_capped() -> None:
    first = utc("2016-11-22T12:00Z")
    found = schedule.missed(interval("PT1M"), first_due=first, now=NOW, anchor=first, keep=2)
    assert found.older_count == 3652 * 1440  # 10 years with the leap days of 2020 and 2024
    assert found.older == (NOW - timedelta(minutes=2), NOW - timedelta(minutes=1))
    assert (found.first, found.latest) == (first, NOW)


def test_slots_after_the_end_are_not_missed() -> None:
    s = interval(end_at="2026-11-20T09:00:00Z")
    found = schedule.missed(s, first_due=utc("2026-11-19T09:00Z"), now=NOW, anchor=NOW)
    assert (found.latest, found.older_count) == (utc("2026-11-20T09:00Z"), 1)


@given(seconds=PERIODS, after=INSTANTS, anchor=INSTANTS)
@settings(deadline=None)
def test_the_next_slot_is_after_the_last_and_whole_periods_from_the_anchor(
    seconds: int, after: datetime, anchor: datetime
) -> None:
    s = schedule.Interval(f"PT{seconds}S", timedelta(seconds=seconds))
    slot = schedule.next_slot(s, after=after, anchor=anchor)
    assert slot
    assert slot > after
    assert (slot - anchor) % s.period == timedelta(0)
    assert (
        slot - s.period in (anchor, slot - s.period)
        if slot - s.period <= after
        else slot == anchor + s.period
    )


@given(seconds=PERIODS, first=INSTANTS, late=st.timedeltas(timedelta(0), timedelta(days=20000)))
@settings(deadline=None)
def test_what_was_missed_reaches_up_to_now_and_no_further(
    seconds: int, first: datetime, late: timedelta
) -> None:
    s = schedule.Interval(f"PT{seconds}S", timedelta(seconds=seconds))
    found = schedule.missed(s, first_due=first, now=first + late, anchor=first, keep=3)
    assert found.latest <= first + late < found.latest + s.period
    assert found.latest == first + found.older_count * s.period
    assert len(found.older) == min(3, found.older_count)


def test_only_an_interval_anchored_on_delivery_drifts() -> None:
    assert schedule.drifts(interval())
    assert not schedule.drifts(interval(anchor="grid"))


def test_an_interval_has_no_zone_and_answers_in_utc() -> None:
    assert schedule.local(interval(), NOW).utcoffset() == timedelta(0)
    assert schedule.kind(interval()) == "interval"
