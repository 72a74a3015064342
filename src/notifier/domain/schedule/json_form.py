"""Schedules as JSON: reading whatever a caller sends, writing the canonical form."""

from collections.abc import Callable
from typing import Any

from notifier.domain.schedule import calendar, interval
from notifier.domain.schedule.model import Interval, Schedule
from notifier.domain.schedule.parsing import Fields, choice, refused

_SHORTHANDS = ("daily", "weekly")
_KINDS: dict[str, Callable[[object], Schedule]] = {"interval": interval.parse, "calendar": calendar.parse}


def parse(value: object) -> Schedule:
    """Read a schedule: an object, or "daily" or "weekly" for such an interval.

    Raises InvalidInput with pointers relative to the schedule, and nothing else whatever JSON comes.
    """
    if isinstance(value, str):
        if value not in _SHORTHANDS:
            raise refused("invalid_choice", 'A schedule is an object, "daily" or "weekly".')
        value = {"kind": "interval", "every": value}
    if not isinstance(value, dict):
        raise refused("wrong_type", 'A schedule is an object, "daily" or "weekly".')
    fields = Fields(value)
    kind = fields.take("kind", choice(tuple(_KINDS)))
    fields.check()
    return _KINDS[kind](value)


def to_json(s: Schedule) -> dict[str, Any]:
    """Return the canonical form, defaults filled in; `parse` gives the same schedule back."""
    return interval.to_json(s) if isinstance(s, Interval) else calendar.to_json(s)
