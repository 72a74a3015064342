"""RFC 5545 rules: expanded from the period at hand, equal to expanding them from the start."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_reference import utc

from notifier.domain import schedule
from notifier.domain.errors import InvalidInput
from notifier.domain.schedule import rules


def rrule(
    rule: str, dtstart: str = "2026-11-20T09:00", timezone: str = "UTC", **more: object
) -> schedule.Rrule:
    s = schedule.parse({"kind": "rrule", "rrule": rule, "dtstart": dtstart, "timezone": timezone, **more})
    assert isinstance(s, schedule.Rrule)
    return s


def after(s: schedule.Schedule, text: str, count: int) -> list[str]:
    found = islice(schedule.slots(s, after=utc(text), anchor=utc(text)), count)
    return [slot.strftime("%Y-%m-%dT%H:%MZ") for slot in found]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # The start is Friday 2026-11-20 09:00; asked from Sunday 2026-11-22 12:00Z.
        ("FREQ=DAILY", ["2026-11-23T09:00Z", "2026-11-24T09:00Z"]),
        ("FREQ=DAILY;INTERVAL=3", ["2026-11-23T09:00Z", "2026-11-26T09:00Z"]),  # 20 + 3, + 6
        ("FREQ=WEEKLY", ["2026-11-27T09:00Z", "2026-12-04T09:00Z"]),  # the start's Friday
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR", ["2026-11-30T09:00Z", "2026-12-04T09:00Z"]),
        ("FREQ=MONTHLY;BYDAY=2TU", ["2026-12-08T09:00Z", "2027-01-12T09:00Z"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", ["2026-11-30T09:00Z", "2026-12-31T09:00Z"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31", ["2026-12-31T09:00Z", "2027-01-31T09:00Z", "2027-03-31T09:00Z"]),
        ("FREQ=YEARLY", ["2027-11-20T09:00Z", "2028-11-20T09:00Z"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", ["2028-02-29T09:00Z", "2032-02-29T09:00Z"]),
        ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO", ["2027-01-04T09:00Z", "2028-01-03T09:00Z"]),
        ("FREQ=DAILY;BYHOUR=8,20;BYMINUTE=15", ["2026-11-22T20:15Z", "2026-11-23T08:15Z"]),
        ("FREQ=DAILY;COUNT=4", ["2026-11-23T09:00Z"]),  # 20, 21, 22, 23
        ("FREQ=DAILY;UNTIL=20261123T090000Z", ["2026-11-23T09:00Z"]),  # inclusive
        ("FREQ=DAILY;UNTIL=20261124", ["2026-11-23T09:00Z", "2026-11-24T09:00Z"]),  # a date, to its end
        ("FREQ=DAILY;UNTIL=20261124T085959", ["2026-11-23T09:00Z"]),
        ("rrule:freq=daily;count=3;", []),  # 20, 21, 22
    ],
)
def test_a_rule_gives_these_slots(rule: str, expected: list[str]) -> None:
    many = max(1, len(expected)) if "COUNT" not in rule.upper() and "UNTIL" not in rule else 9
    assert after(rrule(rule), "2026-11-22T12:00Z", many) == expected


def test_local_times_in_a_gap_are_dropped_and_of_two_the_first_counts() -> None:
    s = rrule("FREQ=DAILY", "2027-03-26T02:30", "Europe/Berlin")
    assert after(s, "2027-03-27T00:00Z", 2) == ["2027-03-27T01:30Z", "2027-03-29T00:30Z"]
    assert after(s, "2027-10-30T12:00Z", 2) == ["2027-10-31T00:30Z", "2027-11-01T01:30Z"]


def test_a_dropped_time_does_not_count() -> None:
    s = rrule("FREQ=DAILY;COUNT=3", "2027-03-27T02:30", "Europe/Berlin")
    assert after(s, "2027-03-01T00:00Z", 9) == ["2027-03-27T01:30Z", "2027-03-29T00:30Z", "2027-03-30T00:30Z"]


def test_an_until_in_utc_is_an_instant() -> None:
    # 09:00 in Berlin is 08:00Z: the second one is the last.
    s = rrule("FREQ=DAILY;UNTIL=20261121T083000Z", timezone="Europe/Berlin")
    assert after(s, "2026-11-01T00:00Z", 9) == ["2026-11-20T08:00Z", "2026-11-21T08:00Z"]


def test_a_rule_comes_back_in_its_canonical_form() -> None:
    s = rrule("rrule:freq=weekly;byday=mo", exclude_dates=["2026-12-21"])
    assert schedule.to_json(s) == {
        "kind": "rrule",
        "rrule": "FREQ=WEEKLY;BYDAY=MO",
        "dtstart": "2026-11-20T09:00:00",
        "timezone": "UTC",
        "exclude_dates": ["2026-12-21"],
    }
    assert schedule.parse(schedule.to_json(s)) == s
    assert schedule.kind(s) == "rrule"


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("", "invalid_rrule"),
        ("daily", "invalid_rrule"),
        ("FREQ=FORTNIGHTLY", "invalid_rrule"),
        ("FREQ=HOURLY", "unsupported_frequency"),
        ("FREQ=DAILY;FREQ=DAILY", "invalid_rrule"),
        ("FREQ=DAILY;BYEASTER=0", "invalid_rrule"),
        ("FREQ=DAILY;INTERVAL=0", "invalid_rrule"),
        ("FREQ=DAILY;INTERVAL=-1", "invalid_rrule"),
        ("FREQ=DAILY;COUNT=1001", "invalid_rrule"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20271231", "invalid_rrule"),
        ("FREQ=DAILY;UNTIL=20271301", "invalid_rrule"),
        ("FREQ=DAILY;UNTIL=tomorrow", "invalid_rrule"),
        ("FREQ=DAILY;BYMONTH=13", "invalid_rrule"),
        ("FREQ=DAILY;BYMONTHDAY=0", "invalid_rrule"),
        ("FREQ=DAILY;BYMONTHDAY=", "invalid_rrule"),
        ("FREQ=DAILY;BYHOUR=24", "invalid_rrule"),
        ("FREQ=WEEKLY;BYDAY=1MO", "invalid_rrule"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "invalid_rrule"),
        ("FREQ=MONTHLY;BYDAY=0MO", "invalid_rrule"),
        ("FREQ=MONTHLY;BYDAY=XX", "invalid_rrule"),
        ("FREQ=MONTHLY;BYSETPOS=1", "invalid_rrule"),
        ("FREQ=DAILY;WKST=1", "invalid_rrule"),
        ("FREQ=DAILY;BYHOUR=0,1,2,3,4;BYMINUTE=0,10,20,30,40", "invalid_rrule"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never_fires"),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "never_fires"),
        ("FREQ=DAILY;UNTIL=20200101T000000", "never_fires"),
        ("FREQ=DAILY;UNTIL=20200101T000000Z", "never_fires"),
        ("FREQ=DAILY;BYSETPOS=2;BYHOUR=9", "never_fires"),  # one time a day has no second
        ("FREQ=DAILY;INTERVAL=7;BYDAY=MO", "never_fires"),  # every seventh day is a Friday
        ("FREQ=WEEKLY;BYDAY=MO;BYSETPOS=-2", "never_fires"),
        ("FREQ=MONTHLY;BYMONTH=4;BYMONTHDAY=31", "never_fires"),
        ("FREQ=MONTHLY;INTERVAL=12;BYMONTH=1", "never_fires"),  # every November
        ("FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29", "never_fires"),  # 2026 + 4n is no leap year
        ("FREQ=DAILY;BYHOUR=" + ",".join(["1"] * 999), "invalid_rrule"),
    ],
)
def test_what_is_no_rule_is_refused(rule: str, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        rrule(rule)
    assert [(p.pointer, p.code) for p in caught.value.problems] == [("/rrule", code)]


@given(
    junk=st.text("FREQDAILYWKMONTHBYSPU=;,0123456789-+ TZ", max_size=40),
    first=st.sampled_from(["", "FREQ=DAILY;", "FREQ=MONTHLY;BYSETPOS="]),
)
@settings(deadline=None)
def test_whatever_the_text_it_is_a_rule_or_a_refusal(junk: str, first: str) -> None:
    with suppress(InvalidInput):
        assert rrule(first + junk)


def some(*items: object) -> st.SearchStrategy[str]:
    few = st.lists(st.sampled_from(items), min_size=1, max_size=3, unique=True)
    return few.map(lambda chosen: ",".join(map(str, chosen)))


DAYS = some("MO", "TU", "WE", "TH", "FR", "SA", "SU")
NTHS = some("1MO", "2TU", "-1FR", "5SU", "-2WE")
MONTH_DAYS = some(1, 15, 29, 30, 31, -1, -5)


@st.composite
def rule_texts(draw: st.DrawFn) -> str:
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = [f"FREQ={frequency}", f"INTERVAL={draw(st.integers(1, 5))}"]
    by = draw(st.sampled_from(["", "days", "nths", "month days", "months"]))
    if by == "days" or (by == "nths" and frequency in ("DAILY", "WEEKLY")):
        parts.append("BYDAY=" + draw(DAYS))
    elif by == "nths":
        parts.append("BYDAY=" + draw(NTHS))
    elif by == "month days" and frequency != "WEEKLY":
        parts.append("BYMONTHDAY=" + draw(MONTH_DAYS))
    elif by == "months":
        parts.append("BYMONTH=" + draw(some(*range(1, 13))))
    if draw(st.booleans()):
        parts.append("BYHOUR=" + draw(some(*range(24))))
    if by and frequency in ("MONTHLY", "YEARLY") and draw(st.booleans()):
        parts.append(f"BYSETPOS={draw(st.sampled_from([1, 2, -1]))}")
    parts.append(f"WKST={draw(st.sampled_from(['MO', 'SU']))}")
    return ";".join(parts)


@given(
    rule=rule_texts(),
    days=st.integers(0, 4000),
    later=st.integers(-100, 6000 * 24 * 4),
)
@settings(max_examples=200, deadline=None)
def test_expanding_from_the_period_at_hand_equals_expanding_from_the_start(
    rule: str, days: int, later: int
) -> None:
    dtstart = datetime(2005, 1, 1, 9, 30, tzinfo=UTC).replace(tzinfo=None) + timedelta(days=days)
    start = dtstart + timedelta(minutes=15 * later)
    s = rrule("FREQ=DAILY", dtstart.isoformat())
    s = schedule.Rrule(rule, dtstart, s.timezone)
    slow = rrulestr(rule, dtstart=dtstart).xafter(start, count=5, inc=True)
    expected = [wall for wall in slow if wall.year < 2200]
    assert list(islice(rules.walls(s, start), 5)) == expected
