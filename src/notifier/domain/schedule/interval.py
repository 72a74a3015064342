"""Interval schedules: elapsed time, so plain arithmetic on instants."""

from datetime import datetime, timedelta
from typing import Any

from notifier.domain.schedule import durations, limits
from notifier.domain.schedule.model import HORIZON, Anchor, Interval, Missed
from notifier.domain.schedule.parsing import Fields, choice, typed

JUST_NOW = timedelta(minutes=5)
"""A start this far in the past still means now: clocks differ and requests take time."""

_LEAST = timedelta(minutes=1)
_MOST = timedelta(days=3660)
_DURATION = durations.reader(_LEAST, _MOST, also='"daily", "weekly", or ')
_NAMED = {"daily": timedelta(days=1), "weekly": timedelta(weeks=1)}


def parse(value: object) -> Interval:
    """Read an interval object; raises InvalidInput."""
    fields = Fields(value)
    fields.take("kind", choice(["interval"]))
    found = fields.take("every", _every)
    anchor: Anchor = fields.take("anchor", choice(["delivered", "grid"]), "delivered")
    limited = limits.take(fields)
    fields.finish()
    return Interval(*found, anchor, limited)


def to_json(s: Interval) -> dict[str, Any]:
    """Return the canonical object."""
    return {"kind": "interval", "every": s.every, "anchor": s.anchor, **limits.to_json(s.limits)}


def first_slot(s: Interval, now: datetime) -> datetime | None:
    """Return the first slot of a schedule made at `now`."""
    start_at = s.limits.start_at
    if start_at is None:
        return _bounded(s, now + s.period)
    if start_at >= now - JUST_NOW:
        return _bounded(s, start_at)
    return next_slot(s, after=now, anchor=start_at)


def next_slot(s: Interval, after: datetime, anchor: datetime) -> datetime | None:
    """Return the first slot after `after`, counted from `anchor`, which is itself no slot.

    An anchor that is not later than `start_at` counts as `start_at`, which is a slot.
    """
    start_at = s.limits.start_at
    if start_at and anchor <= start_at:
        if after < start_at:
            return _bounded(s, start_at)
        anchor = start_at
    steps = max(1, (after - anchor) // s.period + 1)
    return _bounded(s, anchor + steps * s.period)


def missed(s: Interval, first_due: datetime, now: datetime, keep: int) -> Missed:
    """Return the slots from `first_due` to `now`: each undelivered slot is followed by slot + period."""
    until = max(first_due, min(now, s.limits.end_at or now))
    count = (until - first_due) // s.period
    older = tuple(first_due + n * s.period for n in range(max(0, count - keep), count))
    return Missed(first_due, first_due + count * s.period, count, older)


def _bounded(s: Interval, slot: datetime) -> datetime | None:
    return slot if slot <= (s.limits.end_at or HORIZON) and slot < HORIZON else None


def _every(value: object) -> tuple[str, timedelta]:
    every = typed(value, str)
    if every in _NAMED:
        return every, _NAMED[every]
    return every.upper(), _DURATION(every)
