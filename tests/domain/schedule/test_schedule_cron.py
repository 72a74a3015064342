"""Cron schedules: Vixie's rules for the dates, ours for the clock."""

from contextlib import suppress
from datetime import date, datetime, timedelta
from itertools import islice

import pytest
import schedule_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_reference import utc

from notifier.domain import schedule
from notifier.domain.errors import InvalidInput
from notifier.domain.schedule import rules

DAY = timedelta(days=1)
BERLIN = "Europe/Berlin"


def cron(expression: str, timezone: str = "UTC", **more: object) -> schedule.Cron:
    s = schedule.parse({"kind": "cron", "expression": expression, "timezone": timezone, **more})
    assert isinstance(s, schedule.Cron)
    return s


def after(s: schedule.Schedule, text: str, count: int) -> list[str]:
    found = islice(schedule.slots(s, after=utc(text), anchor=utc(text)), count)
    return [slot.strftime("%Y-%m-%dT%H:%MZ") for slot in found]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # From Sunday 2026-11-22 12:00Z.
        ("*/15 * * * *", ["2026-11-22T12:15Z", "2026-11-22T12:30Z"]),
        ("0 9 * * *", ["2026-11-23T09:00Z", "2026-11-24T09:00Z"]),
        ("0 9 * * MON-FRI", ["2026-11-23T09:00Z", "2026-11-24T09:00Z", "2026-11-25T09:00Z"]),
        ("0 9 * * 0", ["2026-11-29T09:00Z"]),
        ("0 9 * * 7", ["2026-11-29T09:00Z"]),  # 7 is Sunday as well
        ("0 0 29 2 *", ["2028-02-29T00:00Z", "2032-02-29T00:00Z"]),
        # Both restricted: day of month OR day of week. 27 is a Friday, 13 December a Sunday.
        (
            "0 0 13 * fri",
            ["2026-11-27T00:00Z", "2026-12-04T00:00Z", "2026-12-11T00:00Z", "2026-12-13T00:00Z"],
        ),
        # One begins with a star, so both must hold (Vixie): odd days that are Mondays. 23, then 7 December.
        ("0 0 */2 * mon", ["2026-11-23T00:00Z", "2026-12-07T00:00Z"]),
        ("5-10/5 8,20 1 jan *", ["2027-01-01T08:05Z", "2027-01-01T08:10Z", "2027-01-01T20:05Z"]),
        ("0 0 L * *", ["2026-11-30T00:00Z", "2026-12-31T00:00Z"]),
        ("0 0 * * 5L", ["2026-11-27T00:00Z", "2026-12-25T00:00Z"]),
        ("0 0 * * TUE#2", ["2026-12-08T00:00Z", "2027-01-12T00:00Z"]),
    ],
)
def test_an_expression_gives_these_slots(expression: str, expected: list[str]) -> None:
    assert after(cron(expression), "2026-11-22T12:00Z", len(expected)) == expected


@pytest.mark.parametrize(
    ("s", "start", "expected"),
    [
        # Berlin, gap of 2027-03-28: 2:30 - 1; overlap of 2027-10-31: 2:30 - 2.
        (
            cron("30 2 * * *", "Europe/Berlin"),
            "2027-03-27T12:00Z",
            ["2027-03-28T01:30Z", "2027-03-29T00:30Z"],
        ),
        (
            cron("30 2 * * *", "Europe/Berlin"),
            "2027-10-30T12:00Z",
            ["2027-10-31T00:30Z", "2027-11-01T01:30Z"],
        ),
        # Every half hour: the shifted 02:00 and 02:30 would fall on 03:00 and 03:30, so they are dropped.
        (
            cron("*/30 * * * *", "Europe/Berlin"),
            "2027-03-28T00:15Z",
            ["2027-03-28T00:30Z", "2027-03-28T01:00Z", "2027-03-28T01:30Z"],
        ),
        # In the repeated hour only the first reading counts by default: 2:30 - 2, then 3:00 - 1.
        (
            cron("*/30 * * * *", "Europe/Berlin"),
            "2027-10-31T00:15Z",
            ["2027-10-31T00:30Z", "2027-10-31T02:00Z"],
        ),
        (
            cron("*/30 * * * *", "Europe/Berlin", dst={"overlap": "both"}),
            "2027-10-31T00:15Z",
            ["2027-10-31T00:30Z", "2027-10-31T01:00Z", "2027-10-31T01:30Z", "2027-10-31T02:00Z"],
        ),
    ],
)
def test_the_clocks_change_under_a_cron_as_under_a_calendar(
    s: schedule.Cron, start: str, expected: list[str]
) -> None:
    assert after(s, start, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("", "invalid_cron"),
        ("* * * *", "invalid_cron"),
        ("0 * * * * *", "invalid_cron"),  # seconds are not served
        ("@daily", "invalid_cron"),
        ("60 * * * *", "invalid_cron"),
        ("* 24 * * *", "invalid_cron"),
        ("* * 0 * *", "invalid_cron"),
        ("* * * 13 *", "invalid_cron"),
        ("* * * * 8", "invalid_cron"),
        ("*/0 * * * *", "invalid_cron"),
        ("5-1 * * * *", "invalid_cron"),
        ("0 0 * * 1#2/3", "invalid_cron"),
        ("٣ * * * *", "invalid_cron"),
        ("0 0 30 2 *", "never_fires"),
        ("0 0 31 2 *", "never_fires"),
        ("0 0 31 4,6,9,11 *", "never_fires"),
        ("0 0 32 2 *", "invalid_cron"),
        ("0 0 31 2 8", "invalid_cron"),
        ("0 0 31 13 *", "invalid_cron"),
        ("9" * 5000 + " * * * *", "invalid_cron"),
    ],
)
def test_what_is_no_expression_is_refused(expression: str, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        cron(expression)
    assert [(p.pointer, p.code) for p in caught.value.problems] == [("/expression", code)]


def test_a_cron_comes_back_in_its_canonical_form() -> None:
    s = cron("  0   9 * * mon ", "europe/berlin")
    assert schedule.to_json(s) == {
        "kind": "cron",
        "expression": "0 9 * * mon",
        "timezone": "Europe/Berlin",
        "dst": {"gap": "shift", "overlap": "first"},
    }
    assert schedule.parse(schedule.to_json(s)) == s
    assert schedule.kind(s) == "cron"


def test_a_cron_that_comes_every_hour_is_silent_for_a_repeated_one_and_says_so() -> None:
    now = utc("2026-11-22T12:00Z")
    hourly = cron("0 * * * *", "Europe/Berlin")
    assert [note.code for note in schedule.warnings(hourly, now=now)] == ["silent_hour"]
    both = cron("0 * * * *", "Europe/Berlin", dst={"overlap": "both"})
    assert "silent_hour" not in [note.code for note in schedule.warnings(both, now=now)]
    assert schedule.warnings(cron("0 * * * *"), now=now) == ()


def test_ten_years_of_missed_minutes_are_counted() -> None:
    s = cron("* * * * *", "Europe/Berlin")
    start, now = utc("2016-11-22T00:00Z"), utc("2026-11-22T00:00Z")
    found = schedule.missed(s, first_due=start, now=now, anchor=start, keep=1)
    assert found.older_count == 3652 * 1440 - 10 * 60  # less the ten repeated hours
    assert found.latest == now


def vixie(expression: str, day: date) -> bool:
    """The manual's words on one date, for numbers, lists and stars only."""
    _, _, dom, month, dow = expression.split()
    months = month == "*" or day.month in map(int, month.split(","))
    in_dom = dom == "*" or day.day in map(int, dom.split(","))
    in_dow = dow == "*" or day.isoweekday() % 7 in [int(n) % 7 for n in dow.split(",")]
    either = dom != "*" and dow != "*"
    return months and ((in_dom or in_dow) if either else (in_dom and in_dow))


def numbers(least: int, most: int) -> st.SearchStrategy[str]:
    some = st.lists(st.integers(least, most).map(str), min_size=1, max_size=4).map(",".join)
    return st.just("*") | some


@given(text=st.text("0123456789*/,-L# MONTUEJAW", max_size=20))
@settings(deadline=None)
def test_whatever_the_text_it_is_an_expression_or_a_refusal(text: str) -> None:
    for expression in (text, f"0 9 * * {text}", f"0 9 {text} * mon"):
        with suppress(InvalidInput):
            assert cron(expression)


@given(
    dom=numbers(1, 28),
    month=numbers(1, 12),
    dow=numbers(0, 7),
    start=st.dates(date(2024, 1, 1), date(2030, 1, 1)),
)
@settings(deadline=None)
def test_dates_equal_the_manual_read_date_by_date(dom: str, month: str, dow: str, start: date) -> None:
    expression = f"0 0 {dom} {month} {dow}"
    expected = [day for day in (start + n * DAY for n in range(800)) if vixie(expression, day)]
    found = list(islice(rules.local_dates(cron(expression), start), len(expected)))
    assert found == expected


@given(
    expression=st.sampled_from(["15,45 */2 * * *", "0 0-3 * * *", "30 2 * * 0,6", "*/15 1-3 * * *"]),
    overlap=st.sampled_from(["first", "second", "both"]),
    gap=st.sampled_from(["shift", "skip"]),
    day=st.sampled_from(["2027-03-28", "2027-10-31", "2027-06-01"]),
)
@settings(deadline=None, max_examples=40)
def test_slots_equal_those_of_a_calendar_with_the_same_times(
    expression: str, overlap: str, gap: str, day: str
) -> None:
    s = cron(expression, "Europe/Berlin", dst={"gap": gap, "overlap": overlap})
    days = (0, 1, 2, 3, 4, 5, 6) if expression.endswith("*") else (5, 6)
    same = schedule.Calendar("weekly", rules.local_times(s), "Europe/Berlin", days, dst=s.dst)
    start = datetime.fromisoformat(f"{day}T00:00:00+00:00") - DAY
    expected = reference.slots(same, schedule.zones.load("Europe/Berlin"), start, start + 3 * DAY)
    assert list(islice(schedule.slots(s, after=start, anchor=start), len(expected))) == expected
