"""What `parse` accepts, what it refuses, and in which words."""

import json
from typing import Any

import pytest

from notifier.domain import schedule
from notifier.domain.errors import InvalidInput

DAILY = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "Europe/Berlin"}
WEEKLY = {**DAILY, "frequency": "weekly", "weekdays": ["mon"]}
EVERY = {"kind": "interval", "every": "daily"}
MONTHLY = {**DAILY, "frequency": "monthly", "month_days": [31]}
ONCE = {"kind": "once", "at": "2027-03-28T09:00", "timezone": "Europe/Berlin"}
CRON = {"kind": "cron", "expression": "0 9 * * mon", "timezone": "Europe/Berlin"}
RRULE = {"kind": "rrule", "rrule": "FREQ=DAILY", "dtstart": "2026-11-22T09:00", "timezone": "Europe/Berlin"}
SECOND_TUESDAY = [{"nth": 2, "weekday": "tue"}]


@pytest.mark.parametrize(
    ("given_json", "canonical"),
    [
        ("daily", {"kind": "interval", "every": "daily", "anchor": "delivered"}),
        ("weekly", {"kind": "interval", "every": "weekly", "anchor": "delivered"}),
        (
            {"kind": "interval", "every": "pt6h", "anchor": "grid", "start_at": "2026-11-22T10:00:00+01:00"},
            {"kind": "interval", "every": "PT6H", "anchor": "grid", "start_at": "2026-11-22T09:00:00Z"},
        ),
        (
            {**DAILY, "times": ["18:30", "09:00"], "timezone": "europe/berlin", "end_at": None},
            {
                "kind": "calendar",
                "frequency": "daily",
                "times": ["09:00", "18:30"],
                "every": 1,
                "timezone": "Europe/Berlin",
                "dst": {"gap": "shift", "overlap": "first"},
            },
        ),
        (
            {**WEEKLY, "weekdays": ["fri", "mon"], "dst": {"gap": "skip"}},
            {
                "kind": "calendar",
                "frequency": "weekly",
                "times": ["09:00"],
                "weekdays": ["mon", "fri"],
                "every": 1,
                "timezone": "Europe/Berlin",
                "dst": {"gap": "skip", "overlap": "first"},
            },
        ),
        (
            {**DAILY, "frequency": "weekly", "every": 2, "start_date": "2026-11-19"},  # a Thursday
            {
                "kind": "calendar",
                "frequency": "weekly",
                "times": ["09:00"],
                "weekdays": ["thu"],
                "every": 2,
                "start_date": "2026-11-19",
                "timezone": "Europe/Berlin",
                "dst": {"gap": "shift", "overlap": "first"},
            },
        ),
        (
            {**MONTHLY, "month_days": [15, -1, 1]},
            {
                "kind": "calendar",
                "frequency": "monthly",
                "times": ["09:00"],
                "month_days": [-1, 1, 15],
                "month_day_policy": "clamp",
                "every": 1,
                "timezone": "Europe/Berlin",
                "dst": {"gap": "shift", "overlap": "first"},
            },
        ),
        (
            {**MONTHLY, "month_days": None, "nth_weekdays": SECOND_TUESDAY},
            {
                "kind": "calendar",
                "frequency": "monthly",
                "times": ["09:00"],
                "nth_weekdays": SECOND_TUESDAY,
                "every": 1,
                "timezone": "Europe/Berlin",
                "dst": {"gap": "shift", "overlap": "first"},
            },
        ),
        (
            {**EVERY, "max_occurrences": 3, "exclude_dates": ["2026-12-25", "2026-12-24"]},
            {
                "kind": "interval",
                "every": "daily",
                "anchor": "delivered",
                "max_occurrences": 3,
                "exclude_dates": ["2026-12-24", "2026-12-25"],
            },
        ),
        (
            {**EVERY, "holidays": "de/by"},
            {"kind": "interval", "every": "daily", "anchor": "delivered", "holidays": "DE/BY"},
        ),
        (
            {**EVERY, "missed": {"policy": "all", "grace": "P1DT12H"}},
            {
                "kind": "interval",
                "every": "daily",
                "anchor": "delivered",
                "missed": {"policy": "all", "max": 3, "grace": "P1DT43200S"},
            },
        ),
        (
            {"kind": "once", "at": "2027-03-28T09:00:00+02:00"},
            {"kind": "once", "at": "2027-03-28T07:00:00Z"},
        ),
        (
            ONCE,
            {
                "kind": "once",
                "at": "2027-03-28T09:00:00",
                "timezone": "Europe/Berlin",
                "dst": {"gap": "shift", "overlap": "first"},
            },
        ),
    ],
)
def test_a_schedule_comes_back_in_its_canonical_form(given_json: object, canonical: dict[str, Any]) -> None:
    parsed = schedule.parse(given_json)
    assert schedule.to_json(parsed) == canonical
    assert schedule.parse(json.loads(json.dumps(canonical))) == parsed


REFUSED = [
    ("hourly", "", "invalid_choice"),
    (None, "", "wrong_type"),
    (17, "", "wrong_type"),
    (["daily"], "", "wrong_type"),
    ({}, "/kind", "missing"),
    ({"kind": 1}, "/kind", "wrong_type"),
    ({"kind": "lunar"}, "/kind", "invalid_choice"),
    ({"kind": "interval"}, "/every", "missing"),
    ({**EVERY, "every": None}, "/every", "missing"),
    ({**EVERY, "every": 5}, "/every", "wrong_type"),
    ({**EVERY, "every": "hourly"}, "/every", "invalid_duration"),
    ({**EVERY, "every": "P"}, "/every", "invalid_duration"),
    ({**EVERY, "every": "PT"}, "/every", "invalid_duration"),
    ({**EVERY, "every": "P1DT"}, "/every", "invalid_duration"),
    ({**EVERY, "every": "PT1.5H"}, "/every", "invalid_duration"),
    ({**EVERY, "every": "-PT1H"}, "/every", "invalid_duration"),
    ({**EVERY, "every": "PT٣H"}, "/every", "invalid_duration"),
    ({**EVERY, "every": "PT59S"}, "/every", "duration_too_short"),
    ({**EVERY, "every": "PT0M"}, "/every", "duration_too_short"),
    ({**EVERY, "every": "P3661D"}, "/every", "duration_too_long"),
    ({**EVERY, "every": "P999999999999W"}, "/every", "duration_too_long"),
    ({**EVERY, "every": "P1M"}, "/every", "variable_duration"),
    ({**EVERY, "every": "P1Y"}, "/every", "variable_duration"),
    ({**EVERY, "every": "P1Y2DT3H"}, "/every", "variable_duration"),
    ({**EVERY, "anchor": "sent"}, "/anchor", "invalid_choice"),
    ({**EVERY, "start_at": "tomorrow"}, "/start_at", "invalid_instant"),
    ({**EVERY, "start_at": "2026-11-22"}, "/start_at", "invalid_instant"),
    ({**EVERY, "start_at": "2026-11-22T09:00:00"}, "/start_at", "offset_missing"),
    ({**EVERY, "start_at": "2026-02-30T09:00:00Z"}, "/start_at", "invalid_instant"),
    ({**EVERY, "start_at": "2026-11-22T09:00:00+99:00"}, "/start_at", "invalid_instant"),
    ({**EVERY, "start_at": "0001-01-01T00:00:00+14:00"}, "/start_at", "invalid_instant"),
    ({**EVERY, "start_at": "1969-12-31T23:59:59Z"}, "/start_at", "out_of_range"),
    ({**EVERY, "end_at": "9999-12-31T23:59:59-10:00"}, "/end_at", "invalid_instant"),
    (
        {**EVERY, "start_at": "2026-11-22T09:00:00Z", "end_at": "2026-11-22T08:59:59Z"},
        "/end_at",
        "ends_before_start",
    ),
    ({**EVERY, "colour": "red"}, "/colour", "unknown_field"),
    ({**EVERY, "a/b~c": 1}, "/a~1b~0c", "unknown_field"),
    ({**EVERY, "times": ["09:00"]}, "/times", "unknown_field"),
    ({**EVERY, "\ud800": 1}, "/\\ud800", "unknown_field"),
    ({**DAILY, "frequency": "hourly"}, "/frequency", "invalid_choice"),
    ({**DAILY, "times": []}, "/times", "out_of_range"),
    ({**DAILY, "times": "09:00"}, "/times", "wrong_type"),
    ({**DAILY, "times": ["09:00", 9]}, "/times/1", "wrong_type"),
    ({**DAILY, "times": ["9:00"]}, "/times/0", "invalid_time"),
    ({**DAILY, "times": ["24:00"]}, "/times/0", "invalid_time"),
    ({**DAILY, "times": ["09:60"]}, "/times/0", "invalid_time"),
    ({**DAILY, "times": ["09:00:00"]}, "/times/0", "invalid_time"),
    ({**DAILY, "times": ["09:00", "09:00"]}, "/times/1", "duplicate"),
    ({**DAILY, "times": [f"{h:02}:{m}" for h in range(24) for m in ("00", "30")]}, "/times", "out_of_range"),
    ({**DAILY, "weekdays": ["mon"]}, "/weekdays", "not_allowed"),
    ({**DAILY, "month_days": [1]}, "/month_days", "not_allowed"),
    ({**MONTHLY, "weekdays": ["mon"]}, "/weekdays", "not_allowed"),
    ({**MONTHLY, "month_days": None}, "/month_days", "missing"),
    ({**MONTHLY, "month_days": [0]}, "/month_days/0", "out_of_range"),
    ({**MONTHLY, "month_days": [32]}, "/month_days/0", "out_of_range"),
    ({**MONTHLY, "month_days": [-2]}, "/month_days/0", "out_of_range"),
    ({**MONTHLY, "month_day_policy": "next"}, "/month_day_policy", "invalid_choice"),
    ({**MONTHLY, "nth_weekdays": SECOND_TUESDAY}, "/nth_weekdays", "not_allowed"),
    ({**MONTHLY, "nth_weekdays": [{"nth": 6, "weekday": "mon"}]}, "/nth_weekdays/0/nth", "out_of_range"),
    ({**MONTHLY, "nth_weekdays": [{"nth": 1}]}, "/nth_weekdays/0/weekday", "missing"),
    ({**EVERY, "max_occurrences": 0}, "/max_occurrences", "out_of_range"),
    ({**EVERY, "exclude_dates": ["24.12.2026"]}, "/exclude_dates/0", "invalid_date"),
    ({**EVERY, "holidays": "Germany"}, "/holidays", "unknown_country"),
    ({**EVERY, "holidays": "DE/"}, "/holidays", "unknown_subdivision"),
    ({**EVERY, "holidays": "DE/XX"}, "/holidays", "unknown_subdivision"),
    ({**EVERY, "holidays": ["DE"]}, "/holidays", "wrong_type"),
    ({**CRON, "expression": None}, "/expression", "missing"),
    ({**CRON, "expression": 5}, "/expression", "wrong_type"),
    ({**CRON, "times": ["09:00"]}, "/times", "unknown_field"),
    ({**RRULE, "rrule": None}, "/rrule", "missing"),
    ({**RRULE, "dtstart": "2026-11-22T09:00:00Z"}, "/dtstart", "invalid_local_time"),
    ({**RRULE, "dst": {}}, "/dst", "unknown_field"),
    ({**EVERY, "missed": "all"}, "/missed", "wrong_type"),
    ({**EVERY, "missed": {"policy": "some"}}, "/missed/policy", "invalid_choice"),
    ({**EVERY, "missed": {"max": 0}}, "/missed/max", "out_of_range"),
    ({**EVERY, "missed": {"grace": "P1M"}}, "/missed/grace", "variable_duration"),
    ({**ONCE, "at": None}, "/at", "missing"),
    ({**ONCE, "at": "2027-03-28"}, "/at", "invalid_local_time"),
    ({**ONCE, "at": "2027-03-28T25:00"}, "/at", "invalid_local_time"),
    ({**ONCE, "timezone": None}, "/timezone", "missing"),
    ({**ONCE, "at": "2027-03-28T09:00:00Z"}, "/timezone", "not_allowed"),
    ({**ONCE, "dst": {"overlap": "both"}}, "/dst", "not_allowed"),
    ({**ONCE, "max_occurrences": 1}, "/max_occurrences", "unknown_field"),
    ({**WEEKLY, "weekdays": ["monday"]}, "/weekdays/0", "invalid_choice"),
    ({**WEEKLY, "weekdays": [["mon"]]}, "/weekdays/0", "wrong_type"),
    ({**WEEKLY, "weekdays": None}, "/weekdays", "missing"),
    ({**DAILY, "every": 0}, "/every", "out_of_range"),
    ({**DAILY, "every": True}, "/every", "wrong_type"),
    ({**DAILY, "every": 2.0}, "/every", "wrong_type"),
    ({**DAILY, "every": 10**40}, "/every", "out_of_range"),
    ({**DAILY, "every": 2}, "/start_date", "missing"),
    ({**DAILY, "start_date": "2026-13-01"}, "/start_date", "invalid_date"),
    ({**DAILY, "start_date": "20261122"}, "/start_date", "invalid_date"),
    ({**DAILY, "start_date": "2500-01-01"}, "/start_date", "out_of_range"),
    ({**DAILY, "dst": "shift"}, "/dst", "wrong_type"),
    ({**DAILY, "dst": {"gap": "jump"}}, "/dst/gap", "invalid_choice"),
    ({**DAILY, "dst": {"leap": 1}}, "/dst/leap", "unknown_field"),
    ({**DAILY, "timezone": None}, "/timezone", "missing"),
    ({**DAILY, "timezone": 2}, "/timezone", "wrong_type"),
    ({**DAILY, "timezone": ""}, "/timezone", "unknown_timezone"),
    ({**DAILY, "timezone": "Mars/Olympus"}, "/timezone", "unknown_timezone"),
    ({**DAILY, "timezone": "../../etc/passwd"}, "/timezone", "unknown_timezone"),
    ({**DAILY, "timezone": "/etc/localtime"}, "/timezone", "unknown_timezone"),
    ({**DAILY, "timezone": "Europe/Berlin\0"}, "/timezone", "unknown_timezone"),
    ({**DAILY, "timezone": "localtime"}, "/timezone", "unknown_timezone"),
    ({**DAILY, "timezone": "posixrules"}, "/timezone", "unknown_timezone"),
    ({**DAILY, "timezone": "Factory"}, "/timezone", "unknown_timezone"),
    ({**DAILY, "timezone": "EST"}, "/timezone", "timezone_abbreviation"),
    ({**DAILY, "timezone": "CET"}, "/timezone", "timezone_abbreviation"),
    ({**DAILY, "timezone": "cest"}, "/timezone", "unknown_timezone"),
    ({**DAILY, "timezone": "CEST"}, "/timezone", "timezone_abbreviation"),
    ({**DAILY, "timezone": "GMT"}, "/timezone", "timezone_abbreviation"),
    ({**DAILY, "timezone": "+02:00"}, "/timezone", "timezone_offset"),
    ({**DAILY, "timezone": "UTC+2"}, "/timezone", "timezone_offset"),
    ({**DAILY, "timezone": "Etc/GMT-3"}, "/timezone", "timezone_offset"),
]


@pytest.mark.parametrize(("value", "pointer", "code"), REFUSED)
def test_what_is_wrong_is_refused_where_it_stands(value: object, pointer: str, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        schedule.parse(value)
    assert [(p.pointer, p.code) for p in caught.value.problems] == [(pointer, code)]
    detail = caught.value.problems[0].detail
    assert detail.endswith((".", '"'))
    assert detail.encode("utf-8")


def test_all_problems_of_a_schedule_are_told_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        schedule.parse({"kind": "calendar", "frequency": "yearly", "every": "x", "extra": 1})
    assert {p.pointer for p in caught.value.problems} == {
        *("/frequency", "/times", "/timezone", "/every", "/extra"),
    }


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("timezon", "timezon: This is not known here; perhaps `timezone` is meant."),
        (
            "colour",
            "colour: This is not known here; there are: dst, end_at, every, exclude_dates, frequency, ",
        ),
    ],
)
def test_of_a_name_that_is_not_known_the_nearest_one_is_told(name: str, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        schedule.parse({**DAILY, name: "x"})
    assert caught.value.detail.startswith(sentence)


def test_of_tens_of_thousands_of_names_that_are_not_known_only_the_first_get_a_hint() -> None:
    with pytest.raises(InvalidInput) as caught:
        schedule.parse({**DAILY, **{f"timezon-{number}": 1 for number in range(50_000)}})
    hints = [one for one in caught.value.problems if "meant" in one.detail]
    assert (len(caught.value.problems), len(hints)) == (50_000, 20)
    assert caught.value.detail.endswith("; and 49980 more.")
