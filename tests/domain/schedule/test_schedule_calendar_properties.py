"""Calendars against the slow reading of the wall clock, around every kind of change of offset."""

from datetime import date, datetime, time, timedelta
from functools import cache
from itertools import islice, pairwise

import pytest
import schedule_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_reference import utc

from notifier.domain import schedule
from notifier.domain.schedule import walltime, zones
from notifier.domain.schedule.model import NthWeekday
from notifier.domain.schedule.wallclock import occurrences

DAY = timedelta(days=1)


ZONES = st.sampled_from(
    [
        *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo"),
        *("Africa/Casablanca", "Pacific/Apia", "Antarctica/Troll", "America/Nuuk", "Asia/Tehran", "UTC"),
    ]
)
QUARTERS = st.integers(0, 95).map(lambda n: time(n // 4, n % 4 * 15))
TIMES = st.lists(QUARTERS, min_size=1, max_size=4, unique=True).map(lambda times: tuple(sorted(times)))
DSTS = st.builds(
    schedule.Dst, st.sampled_from(["shift", "skip"]), st.sampled_from(["first", "second", "both"])
)
START_DATES = st.dates(date(2009, 1, 1), date(2027, 1, 1))
WEEKDAYS = st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days)))
RULE = {"times": TIMES, "timezone": ZONES, "start_date": START_DATES, "dst": DSTS}
DAILIES = st.builds(schedule.Calendar, st.just("daily"), **RULE, every=st.integers(1, 4))
WEEKLIES = st.builds(schedule.Calendar, st.just("weekly"), **RULE, every=st.integers(1, 3), weekdays=WEEKDAYS)
MONTHLIES = st.builds(
    schedule.Calendar,
    st.just("monthly"),
    **RULE,
    every=st.integers(1, 3),
    month_days=st.lists(st.sampled_from([1, 15, 26, 28, 29, 30, 31, -1]), min_size=1, max_size=3).map(tuple),
    month_day_policy=st.sampled_from(["clamp", "skip"]),
)
NTHS = st.builds(NthWeekday, st.sampled_from([1, 2, 4, 5, -1]), st.integers(0, 6))
NTH_WEEKDAYS = st.builds(
    schedule.Calendar,
    st.just("monthly"),
    **RULE,
    every=st.integers(1, 2),
    nth_weekdays=st.lists(NTHS, min_size=1, max_size=2).map(tuple),
)
CALENDARS = DAILIES | WEEKLIES | MONTHLIES | NTH_WEEKDAYS


@cache
def changes(timezone: str) -> list[datetime]:
    """Changes of offset of 20 years, or any instant where there are none."""
    low, high = utc("2009-01-01T00:00Z"), utc("2029-01-01T00:00Z")
    return list(walltime.changes(zones.load(timezone), low, high)) or [low]


@st.composite
def windows(draw: st.DrawFn) -> tuple[schedule.Calendar, datetime, datetime]:
    """A calendar and some days around a change of its zone's offset, or anywhere."""
    s = draw(CALENDARS)
    near = draw(st.sampled_from(changes(s.timezone)))
    start = near - draw(st.integers(0, 20 * 96)) * reference.QUARTER
    return s, start, start + draw(st.integers(1, 45)) * DAY


@given(window=windows())
@settings(max_examples=200, deadline=None)
def test_slots_equal_the_slow_reading_of_the_rule(
    window: tuple[schedule.Calendar, datetime, datetime],
) -> None:
    s, start, end = window
    expected = reference.slots(s, zones.load(s.timezone), start, end)
    found = []
    for slot in schedule.slots(s, after=start, anchor=start):
        if slot > end:
            break
        found.append(slot)
    assert found == expected
    stepped, last = [], start
    while (slot := schedule.next_slot(s, after=last, anchor=start)) and slot <= end:
        stepped.append(slot)
        last = slot
    assert stepped == expected


@given(window=windows(), keep=st.integers(0, 5), years=st.integers(0, 2))
@settings(max_examples=100, deadline=None)
def test_what_was_missed_equals_walking_through_it(
    window: tuple[schedule.Calendar, datetime, datetime], keep: int, years: int
) -> None:
    s, start, end = window
    end += years * 365 * DAY
    walked = [start]
    for slot in schedule.slots(s, after=start, anchor=start):
        if slot > end:
            break
        walked.append(slot)
    found = schedule.missed(s, first_due=start, now=end, anchor=start, keep=keep)
    assert found.latest == walked[-1]
    assert found.older_count == len(walked) - 1
    assert list(found.older) == walked[:-1][max(0, len(walked) - 1 - keep) :]


@cache
def different_zones() -> dict[tuple[object, ...], str]:
    """One zone for each history of offsets of the years 2024 to 2030, with that history."""
    start, end = utc("2024-01-01T00:00Z"), utc("2031-01-01T00:00Z")
    found = {}
    for name in zones.names():
        zone = zones.load(name)
        history = [(at, walltime.offset_at(at, zone)) for at in walltime.changes(zone, start, end)]
        found[(walltime.offset_at(start, zone), *history)] = name
    return found


@pytest.mark.parametrize("overlap", ["first", "second"])
@pytest.mark.parametrize("at", ["00:00", "00:30", "01:45", "02:30", "12:00", "23:30"])
def test_in_every_zone_a_daily_schedule_keeps_every_local_date_once(at: str, overlap: str) -> None:
    """All zones, 2024 to 2030: no date lost under shift, none doubled under first and second."""
    for (_, *history), name in different_zones().items():
        s = schedule.Calendar("daily", (time.fromisoformat(at),), name, dst=schedule.Dst("shift", overlap))
        for change, _ in history:
            low, high = change - DAY, change + 2 * DAY
            found = [o for o in islice(occurrences(s, low), 5) if o.at <= high]
            assert all(a.at < b.at for a, b in pairwise(found)), name
            assert all(b.wall - a.wall == DAY for a, b in pairwise(found)), name
            assert [o.at for o in found] == reference.slots(s, zones.load(name), low, high), name
