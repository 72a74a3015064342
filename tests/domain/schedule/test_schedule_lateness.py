"""What becomes of slots that passed unsent, and of dates that are excluded."""

from datetime import datetime, timedelta

import pytest
from schedule_reference import utc

from notifier.domain import schedule

INSTANT = timedelta.resolution
JUST_NOW = timedelta(minutes=5)


def daily(**more: object) -> schedule.Schedule:
    rule = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "Europe/Berlin"}
    return schedule.parse({**rule, **more})


def slot(day: int) -> datetime:
    """09:00 in Berlin on that day of November 2026: 9 - 1 = 08:00Z."""
    return utc(f"2026-11-{day:02}T08:00Z")


def judge(s: schedule.Schedule, first: int, now: str, keep: int = 100) -> schedule.Judgement:
    found = schedule.missed(s, first_due=slot(first), now=utc(now), anchor=slot(first), keep=keep)
    return schedule.judge(s, found, now=utc(now))


@pytest.mark.parametrize(
    ("rule", "send", "unsent"),
    [
        # Down from the 19th, up at 10:00Z of the 21st: three slots, 50, 26 and 2 hours late.
        ({}, [21], [(19, "coalesced"), (20, "coalesced")]),
        ({"grace": "PT3H"}, [21], [(19, "grace_exceeded"), (20, "grace_exceeded")]),
        ({"grace": "PT30H"}, [21], [(19, "grace_exceeded"), (20, "coalesced")]),
        ({"grace": "PT1H"}, [], [(19, "grace_exceeded"), (20, "grace_exceeded"), (21, "grace_exceeded")]),
        ({"policy": "all"}, [19, 20, 21], []),
        ({"policy": "all", "max": 2}, [20, 21], [(19, "coalesced")]),
        ({"policy": "all", "grace": "PT30H"}, [20, 21], [(19, "grace_exceeded")]),
        ({"policy": "skip"}, [], [(19, "grace_exceeded"), (20, "grace_exceeded"), (21, "grace_exceeded")]),
        ({"policy": "skip", "grace": "PT2H"}, [21], [(19, "grace_exceeded"), (20, "grace_exceeded")]),
    ],
)
def test_the_policy_says_which_missed_slots_are_sent(
    rule: dict[str, object], send: list[int], unsent: list[tuple[int, str]]
) -> None:
    found = judge(daily(missed=rule), 19, "2026-11-21T10:00Z")
    assert found.send == tuple(slot(day) for day in send)
    assert [(one.slot, one.reason) for one in found.unsent] == [(slot(day), why) for day, why in unsent]
    assert found.rest is None


def test_a_slot_that_is_due_just_now_is_sent_under_every_policy() -> None:
    for policy in ("latest", "all", "skip"):
        found = judge(daily(missed={"policy": policy}), 21, "2026-11-21T08:01Z")
        assert (found.send, found.unsent) == ((slot(21),), ())


def test_a_long_run_is_one_range() -> None:
    found = judge(daily(), 1, "2026-11-21T10:00Z", keep=2)
    assert found.send == (slot(21),)
    assert [one.slot for one in found.unsent] == [slot(19), slot(20)]
    assert found.rest == schedule.UnsentRange(slot(1), slot(19), 18, "coalesced")  # 1 to 18


def test_excluded_dates_are_slots_that_are_not_sent_and_the_newest_other_one_is() -> None:
    s = daily(exclude_dates=["2026-11-21"])
    assert schedule.next_slot(s, after=slot(20), anchor=slot(20)) == slot(21)
    assert schedule.excluded(s, slot(21)) == "excluded"
    assert schedule.excluded(s, slot(20)) is None
    found = judge(s, 19, "2026-11-21T10:00Z")
    assert found.send == (slot(20),)
    assert [(one.slot, one.reason) for one in found.unsent] == [
        *((slot(19), "coalesced"), (slot(21), "excluded")),
    ]


def test_the_excluded_date_is_the_local_one() -> None:
    # 00:30 on the 21st in Berlin is 23:30Z on the 20th.
    s = daily(times=["00:30"], exclude_dates=["2026-11-21"])
    assert schedule.excluded(s, utc("2026-11-20T23:30Z")) == "excluded"
    assert schedule.excluded(s, utc("2026-11-21T23:30Z")) is None


def test_a_slot_shifted_past_midnight_belongs_to_the_date_of_its_rule() -> None:
    # Nuuk skips 23:00 to 24:00 of 2027-03-27: 23:30 comes at 00:30 on the 28th, that is 01:30Z.
    s = daily(times=["23:30"], timezone="America/Nuuk", exclude_dates=["2027-03-27"])
    assert schedule.rule_date(s, utc("2027-03-28T01:30Z")).isoformat() == "2027-03-27"
    assert schedule.excluded(s, utc("2027-03-28T01:30Z")) == "excluded"


def test_an_interval_excludes_dates_of_utc() -> None:
    s = schedule.parse({"kind": "interval", "every": "daily", "exclude_dates": ["2026-11-21"]})
    assert schedule.excluded(s, utc("2026-11-21T23:59Z")) == "excluded"
    assert schedule.excluded(s, utc("2026-11-22T00:00Z")) is None


@pytest.mark.parametrize(
    ("region", "day", "expected"),
    [
        ("DE", "2027-03-26", "Good Friday"),  # Easter 2027 is on March 28
        ("DE", "2027-05-27", None),  # Corpus Christi is kept in Bavaria, not everywhere
        ("DE/BY", "2027-05-27", "Corpus Christi"),
        ("US", "2027-11-25", "Thanksgiving Day"),  # the fourth Thursday of November
        ("FR", "2027-07-14", "National Day"),
        ("FR", "2027-07-15", None),
    ],
)
def test_nothing_is_sent_on_a_holiday_of_the_region(region: str, day: str, expected: str | None) -> None:
    s = daily(timezone="UTC", holidays=region)
    at = utc(f"{day}T09:00Z")
    assert schedule.next_slot(s, after=at - timedelta(hours=1), anchor=at) == at
    assert schedule.excluded(s, at) == ("holiday" if expected else None)
    assert [expected in note.detail for note in schedule.notes(s, at)] == ([True] if expected else [])


@pytest.mark.parametrize("ended", [0, 2, 3, 4])
def test_max_occurrences_ends_the_schedule(ended: int) -> None:
    s = daily(max_occurrences=3)
    following = schedule.next_slot(s, after=slot(21), anchor=slot(21), ended=ended)
    assert following == (slot(22) if ended < 3 else None)


@pytest.mark.parametrize(
    ("rule", "last", "alone"),
    [
        # before the next slot; where there is none, at any time
        ({}, slot(22), None),
        # up to its grace, that instant included, and never past the next slot
        ({"grace": "PT0S"}, slot(21) + INSTANT, slot(21) + INSTANT),
        ({"grace": "PT2H"}, slot(21) + timedelta(hours=2) + INSTANT, slot(21) + timedelta(hours=2) + INSTANT),
        ({"grace": "P1D"}, slot(22), slot(22) + INSTANT),
        ({"grace": "P3D"}, slot(22), slot(24) + INSTANT),
        ({"policy": "skip"}, slot(21) + JUST_NOW + INSTANT, slot(21) + JUST_NOW + INSTANT),
        ({"policy": "skip", "grace": "P3D"}, slot(22), slot(24) + INSTANT),
        # each one counts, also beside newer ones
        ({"policy": "all"}, None, None),
        ({"policy": "all", "grace": "P3D"}, slot(24) + INSTANT, slot(24) + INSTANT),
    ],
)
def test_a_first_try_begins_before(
    rule: dict[str, object], last: datetime | None, alone: datetime | None
) -> None:
    s = daily(missed=rule)
    assert schedule.start_by(s, slot(21), next_slot=slot(22)) == last
    assert schedule.start_by(s, slot(21), next_slot=None) == alone


@pytest.mark.parametrize("rule", [{"grace": "PT2H"}, {"policy": "skip"}, {"policy": "all", "grace": "PT30H"}])
@pytest.mark.parametrize("late", [timedelta(0), INSTANT])
def test_planner_and_worker_agree_about_what_is_too_late(rule: dict[str, object], late: timedelta) -> None:
    s = daily(missed=rule)
    over = schedule.start_by(s, slot(21), next_slot=None)
    assert over
    now = over - INSTANT + late
    found = schedule.judge(s, schedule.Missed(slot(21), slot(21), 0, ()), now=now)
    assert (found.send == (slot(21),)) is (now < over) is (not late)
