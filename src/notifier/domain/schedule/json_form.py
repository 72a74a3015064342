"""Schedules as JSON: reading whatever a caller sends, writing the canonical form."""

import json
from functools import lru_cache
from typing import Any, NamedTuple

from notifier.domain.schedule import calendar, cron, interval, once, rrule
from notifier.domain.schedule.model import Calendar, Cron, Interval, Once, Rrule, Schedule
from notifier.domain.schedule.parsing import Fields, choice, refused


class _Kind(NamedTuple):
    type: type[Any]
    module: Any


_KINDS = {
    "interval": _Kind(Interval, interval),
    "calendar": _Kind(Calendar, calendar),
    "cron": _Kind(Cron, cron),
    "rrule": _Kind(Rrule, rrule),
    "once": _Kind(Once, once),
}
_NAMES = {one.type: name for name, one in _KINDS.items()}
_SHORTHANDS = ("daily", "weekly")
_HINT = 'Write "daily", "weekly", or an object such as {"kind": "interval", "every": "PT1H"}.'


def parse(value: object) -> Schedule:
    """Read a schedule: an object, or "daily" or "weekly" for such an interval.

    Raises InvalidInput with pointers relative to the schedule, and nothing else whatever JSON comes.
    """
    if isinstance(value, str):
        if value not in _SHORTHANDS:
            raise refused("invalid_choice", _HINT)
        value = {"kind": "interval", "every": value}
    if not isinstance(value, dict):
        raise refused("wrong_type", _HINT)
    fields = Fields(value)
    name = fields.take("kind", choice(tuple(_KINDS)))
    fields.check()
    parsed: Schedule = _KINDS[name].module.parse(value)
    return parsed


@lru_cache(maxsize=4096)
def parse_text(text: str) -> Schedule:
    """Read a schedule that is stored as JSON text; those used last are remembered. Raises InvalidInput."""
    return parse(json.loads(text))


def kind(s: Schedule) -> str:
    """Return the kind's name as it stands in JSON."""
    return _NAMES[type(s)]


def to_json(s: Schedule) -> dict[str, Any]:
    """Return the canonical form, defaults filled in; `parse` gives the same schedule back."""
    canonical: dict[str, Any] = _KINDS[kind(s)].module.to_json(s)
    return canonical
