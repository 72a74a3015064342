"""Interval schedules: elapsed time, so plain arithmetic on instants."""

import re
from datetime import datetime, timedelta
from typing import Any

from notifier.domain.errors import InvalidInput
from notifier.domain.schedule.model import HORIZON, Anchor, Interval, Missed
from notifier.domain.schedule.parsing import Fields, bounds, choice, refused, typed, write_instant

JUST_NOW = timedelta(minutes=5)
"""A `start_at` this far in the past still means now: clocks differ and requests take time."""

_LEAST = timedelta(minutes=1)
_MOST = timedelta(days=3660)
_NAMED = {"daily": timedelta(days=1), "weekly": timedelta(weeks=1)}
_NUMBER = r"([0-9]{1,12})"
_DURATION = re.compile(
    rf"P(?=[0-9T])(?:{_NUMBER}W)?(?:{_NUMBER}D)?(?:T(?=[0-9])(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?"
)
_VARIABLE = re.compile(
    rf"P(?=[0-9WD]*[YM])(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}W)?(?:{_NUMBER}D)?(?:T.*)?"
)
_SECONDS = (604800, 86400, 3600, 60, 1)


def parse(value: object) -> Interval:
    """Read an interval object; raises InvalidInput."""
    fields = Fields(value)
    fields.take("kind", choice(["interval"]))
    every = fields.take("every", _every)
    anchor: Anchor = fields.take("anchor", choice(["delivered", "grid"]), "delivered")
    start_at, end_at = bounds(fields)
    fields.finish()
    return Interval(every, _period(every), anchor, start_at, end_at)


def to_json(s: Interval) -> dict[str, Any]:
    """Return the canonical object."""
    optional = {"start_at": s.start_at, "end_at": s.end_at}
    return {
        "kind": "interval",
        "every": s.every,
        "anchor": s.anchor,
        **{name: write_instant(at) for name, at in optional.items() if at},
    }


def first_slot(s: Interval, now: datetime) -> datetime | None:
    """Return the first slot of a schedule made at `now`."""
    if s.start_at is None:
        return _bounded(s, now + s.period)
    if s.start_at >= now - JUST_NOW:
        return _bounded(s, s.start_at)
    return next_slot(s, after=now, anchor=s.start_at)


def next_slot(s: Interval, after: datetime, anchor: datetime) -> datetime | None:
    """Return the first slot after `after`, counted from `anchor`, which is itself no slot.

    An anchor that is not later than `start_at` counts as `start_at`, which is a slot.
    """
    if s.start_at and anchor <= s.start_at:
        if after < s.start_at:
            return _bounded(s, s.start_at)
        anchor = s.start_at
    steps = max(1, (after - anchor) // s.period + 1)
    return _bounded(s, anchor + steps * s.period)


def missed(s: Interval, first_due: datetime, now: datetime, keep: int) -> Missed:
    """Return the slots from `first_due` to `now`: each undelivered slot is followed by slot + period."""
    until = max(first_due, min(now, s.end_at or now))
    count = (until - first_due) // s.period
    older = tuple(first_due + n * s.period for n in range(max(0, count - keep), count))
    return Missed(first_due, first_due + count * s.period, count, older)


def _bounded(s: Interval, slot: datetime) -> datetime | None:
    return slot if slot <= (s.end_at or HORIZON) and slot < HORIZON else None


def _period(every: str) -> timedelta:
    match = _DURATION.fullmatch(every)
    if every in _NAMED or not match:
        return _NAMED[every]
    return timedelta(seconds=_total_seconds(match))


def _total_seconds(match: re.Match[str]) -> int:
    return sum(int(number or 0) * unit for number, unit in zip(match.groups(), _SECONDS, strict=True))


def _every(value: object) -> str:
    every = typed(value, str)
    if every in _NAMED:
        return every
    every = every.upper()
    match = _DURATION.fullmatch(every)
    if not match:
        raise _not_a_duration(every)
    if _total_seconds(match) < _LEAST.total_seconds():
        raise refused("duration_too_short", "The shortest interval is one minute, PT1M.")
    if _total_seconds(match) > _MOST.total_seconds():
        raise refused("duration_too_long", "The longest interval is ten years, P3660D.")
    return every


def _not_a_duration(every: str) -> InvalidInput:
    if _VARIABLE.fullmatch(every):
        detail = "Years and months differ in length. Use weeks or days, or a calendar schedule."
        return refused("variable_duration", detail)
    detail = 'Use "daily", "weekly", or an ISO 8601 duration such as PT6H or P3D, without fractions.'
    return refused("invalid_duration", detail)
