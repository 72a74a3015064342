"""What is told before a schedule is saved."""

from datetime import datetime, timedelta

import pytest
from schedule_reference import utc

from notifier.domain import schedule

NOW = utc("2026-11-22T12:00Z")


def daily(*times: str, timezone: str = "Europe/Berlin", **more: object) -> schedule.Schedule:
    rule = {"kind": "calendar", "frequency": "daily", "times": list(times), "timezone": timezone}
    return schedule.parse({**rule, **more})


def codes(found: tuple[schedule.Note, ...]) -> list[str]:
    assert all(note.detail.endswith(".") for note in found)
    return [note.code for note in found]


@pytest.mark.parametrize(
    ("s", "slot", "expected"),
    [
        (daily("09:00"), "2027-03-28T07:00Z", []),
        (daily("02:30"), "2027-03-28T01:30Z", ["shifted"]),
        (daily("02:30"), "2027-10-31T00:30Z", ["first_of_two"]),
        (daily("02:30", dst={"overlap": "both"}), "2027-10-31T01:30Z", ["second_of_two"]),
        (daily("02:30", exclude_dates=["2027-03-28"]), "2027-03-28T01:30Z", ["shifted", "excluded"]),
        (schedule.parse("daily"), "2027-03-28T01:30Z", []),
        (
            schedule.parse({"kind": "once", "at": "2027-03-28T02:30", "timezone": "Europe/Berlin"}),
            "2027-03-28T01:30Z",
            ["shifted"],
        ),
    ],
)
def test_a_slot_carries_notes(s: schedule.Schedule, slot: str, expected: list[str]) -> None:
    assert codes(schedule.notes(s, utc(slot))) == expected


def test_a_note_says_both_times() -> None:
    (note,) = schedule.notes(daily("02:30"), utc("2027-03-28T01:30Z"))
    assert "02:30" in note.detail
    assert "03:30" in note.detail


def test_only_changes_that_touch_the_schedule_are_listed() -> None:
    assert schedule.transitions(daily("09:00"), now=NOW) == ()
    assert schedule.transitions(daily("02:30", timezone="UTC"), now=NOW) == ()
    assert schedule.transitions(schedule.parse("daily"), now=NOW) == ()


def test_the_changes_of_24_months_say_what_becomes_of_the_local_time() -> None:
    found = schedule.transitions(daily("02:30", "09:00"), now=NOW)
    assert [(one.at, one.kind) for one in found] == [
        (utc("2027-03-28T01:00Z"), "gap"),
        (utc("2027-10-31T01:00Z"), "overlap"),
        (utc("2028-03-26T01:00Z"), "gap"),
        (utc("2028-10-29T01:00Z"), "overlap"),
    ]
    assert (found[0].offset_before, found[0].offset_after) == (timedelta(hours=1), timedelta(hours=2))
    wall = datetime.fromisoformat("2027-03-28T02:30")
    assert found[0].affected == (schedule.Affected(wall, "shifted", (utc("2027-03-28T01:30Z"),)),)


@pytest.mark.parametrize(
    ("s", "gap", "overlap"),
    [
        (daily("02:30"), "shifted", "first"),
        (daily("02:30", dst={"gap": "skip", "overlap": "second"}), "skipped", "second"),
        (daily("02:30", "03:00", dst={"overlap": "both"}), "dropped", "twice"),  # 03:00 comes first
    ],
)
def test_the_effect_follows_the_policy(s: schedule.Schedule, gap: str, overlap: str) -> None:
    found = schedule.transitions(s, now=NOW)
    assert [found[0].affected[0].effect, found[1].affected[0].effect] == [gap, overlap]


def test_changes_outside_the_bounds_do_not_touch_the_schedule() -> None:
    assert schedule.transitions(daily("02:30", end_at="2027-03-01T00:00:00Z"), now=NOW) == ()
    assert schedule.transitions(daily("02:30", start_at="2029-01-01T00:00:00Z"), now=NOW) == ()
    assert schedule.transitions(daily("02:30", start_date="2029-01-01"), now=NOW) == ()


BERLIN = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (BERLIN, []),
        ("daily", []),
        ({**BERLIN, "timezone": "europe/berlin"}, []),
        ({**BERLIN, "timezone": "Asia/Calcutta"}, ["zone_alias"]),
        ({**BERLIN, "end_at": "2020-01-01T00:00:00Z"}, ["never_fires"]),
        ({"kind": "once", "at": "2020-01-01T00:00:00Z"}, ["never_fires"]),
        ({**BERLIN, "exclude_dates": ["2026-11-23"], "end_at": "2026-11-24T00:00:00Z"}, ["never_fires"]),
        ({"kind": "interval", "every": "PT1M"}, ["every_minute"]),
        ({"kind": "interval", "every": "PT2M"}, []),
        ({"kind": "interval", "every": "daily", "start_at": "2026-01-01T00:00:00Z"}, ["past_start"]),
        ({"kind": "interval", "every": "daily", "start_at": NOW.isoformat()}, []),
        ({"kind": "interval", "every": "daily", "start_at": "2026-01-01T00:00:00Z", "anchor": "grid"}, []),
        ({**BERLIN, "start_at": "2026-01-01T00:00:00Z"}, []),
        ({**BERLIN, "times": ["09:00", "09:01"]}, ["every_minute"]),
        ({**BERLIN, "times": ["02:30"], "dst": {"overlap": "both"}}, ["same_day_double"]),
        ({**BERLIN, "times": ["23:30"], "timezone": "America/Nuuk"}, ["same_day_double"]),
    ],
)
def test_what_may_not_be_meant_is_warned_of(given: object, expected: list[str]) -> None:
    assert codes(schedule.warnings(schedule.parse(given), now=NOW, given=given)) == expected


def test_of_a_start_that_has_passed_it_is_told_what_comes_first() -> None:
    rule = schedule.parse({"kind": "interval", "every": "daily", "start_at": "2026-01-01T09:00:00Z"})
    (warning,) = schedule.warnings(rule, now=NOW)
    assert warning.detail == "`start_at` has passed; the first slot is 2026-11-23T09:00:00Z."
    assert schedule.warnings(rule, now=NOW, begins=False) == ()
