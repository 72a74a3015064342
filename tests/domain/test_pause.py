"""How a pause ends, against a reading of the rule that steps from slot to slot."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain import pause, schedule
from notifier.domain.pause import Resumption
from notifier.domain.schedule import Schedule

BORN = datetime(2027, 3, 25, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WALL: tuple[dict[str, Any], ...] = (
    {"kind": "calendar", "frequency": "daily", "times": ["02:30", "09:00"], "timezone": "Europe/Berlin"},
    {"kind": "calendar", "frequency": "weekly", "weekdays": ["sun"], "times": ["02:30"], "timezone": "UTC"},
    {"kind": "cron", "expression": "0 */5 * * *", "timezone": "America/New_York"},
    {"kind": "rrule", "rrule": "FREQ=DAILY", "dtstart": "2027-01-01T02:30", "timezone": "Europe/Berlin"},
    {"kind": "interval", "every": "PT7H", "anchor": "grid"},
    {"kind": "interval", "every": "PT7H"},
)


def stepped(rule: Schedule, first: datetime, at: datetime) -> list[datetime]:
    """Return the slots from `first` to `at`, one after the other."""
    found, slot = [], first
    while slot is not None and slot <= at:
        found.append(slot)
        slot = schedule.next_slot(rule, after=slot, anchor=BORN)  # type: ignore[assignment]
    return found


@given(
    st.sampled_from(WALL),
    st.integers(min_value=0, max_value=12 * 24 * 60),
    st.booleans(),
    st.sampled_from([{}, {"end_at": "2027-03-30T12:00:00Z"}, {"max_occurrences": 5}]),
)
def test_a_pause_skips_what_passed_and_goes_on_after_it(
    value: dict[str, Any], minutes: int, catch_up: bool, limits: dict[str, Any]
) -> None:
    rule, at = schedule.parse({**value, **limits}), BORN + minutes * MINUTE
    first = schedule.first_slot(rule, now=BORN)
    assert first is not None
    ended = pause.resume(rule, at=at, anchor_at=BORN, next_due_at=first, sent=2, catch_up=catch_up)
    passed = stepped(rule, first, at)
    skipped = passed[:-1] if catch_up else passed
    assert ended.skipped == len(skipped)
    assert ended.first_skipped == (skipped[0] if skipped else None)
    if skipped:
        assert ended.skipped_before is not None
        assert skipped[-1] < ended.skipped_before <= max(at, skipped[-1] + pause.TICK)
    if catch_up and passed:
        assert ended.next_due_at == passed[-1]
        return
    assert ended.next_due_at is None or ended.next_due_at > at
    drifts = schedule.drifts(rule)
    assert ended.anchor_at == (at if drifts else BORN)
    assert ended.next_due_at == schedule.next_slot(rule, after=at, anchor=ended.anchor_at)


def resume(value: object, *, at: datetime, due: datetime, **more: Any) -> Resumption:
    return pause.resume(schedule.parse(value), at=at, anchor_at=BORN, next_due_at=due, **more)


def test_a_slot_that_was_put_off_stays_where_it_is() -> None:
    due = BORN + timedelta(days=2)
    assert resume(WALL[0], at=BORN + MINUTE, due=due) == Resumption(BORN + MINUTE, BORN, due)


def test_an_interval_that_counts_from_deliveries_counts_from_the_end_of_the_pause() -> None:
    at = BORN + MINUTE
    ended = resume("daily", at=at, due=BORN + timedelta(days=1))
    assert ended == Resumption(at, at, at + timedelta(days=1))


def test_the_slot_at_the_very_end_of_a_pause_belongs_to_it() -> None:
    at = BORN + timedelta(hours=7)
    ended = resume(WALL[4], at=at, due=at)
    assert (ended.skipped, ended.first_skipped, ended.skipped_before) == (1, at, at + pause.TICK)
    assert ended.next_due_at == at + timedelta(hours=7)


@pytest.mark.parametrize("years", [1, 10, 100])
def test_a_pause_of_many_years_is_found_by_arithmetic(years: int) -> None:
    at = BORN + timedelta(days=365 * years)
    ended = resume({"kind": "interval", "every": "PT1M", "anchor": "grid"}, at=at, due=BORN + MINUTE)
    assert ended.skipped == 365 * years * 24 * 60
