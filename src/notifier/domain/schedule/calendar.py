"""Calendar schedules: local dates from a rule, local times on each, turned into instants at the end."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from datetime import date, datetime, time
from itertools import count
from typing import Any

from notifier.domain.schedule import zones
from notifier.domain.schedule.model import HORIZON, Calendar, Dst, Gap, Overlap
from notifier.domain.schedule.parsing import (
    Fields,
    bounds,
    choice,
    integer,
    local_date,
    ordered_set,
    refused,
    typed,
    write_instant,
)

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_LAST_DAY = HORIZON.date().toordinal() - 1
_MOST_TIMES = 24
_NO_DAYS: tuple[int, ...] = ()
_MOST_EVERY = 3660


def parse(value: object) -> Calendar:
    """Read a calendar object; raises InvalidInput."""
    fields = Fields(value)
    fields.take("kind", choice(["calendar"]))
    frequency = fields.take("frequency", choice(["daily", "weekly"]))
    times = fields.take("times", ordered_set(_time, _MOST_TIMES))
    timezone = fields.take("timezone", _timezone)
    every = fields.take("every", integer(1, _MOST_EVERY), 1)
    start_date = fields.take("start_date", local_date, None)
    dst = fields.take("dst", _dst, Dst())
    start_at, end_at = bounds(fields)
    weekdays = fields.take("weekdays", ordered_set(_weekday, len(WEEKDAYS)), _NO_DAYS)
    fields.finish()
    weekdays = _weekdays_of(fields, frequency, weekdays, start_date)
    if every > 1 and not start_date:
        fields.refuse("start_date", "missing", "`start_date` is required where `every` is more than 1.")
    fields.check()
    return Calendar(
        frequency=frequency,
        times=tuple(sorted(times)),
        timezone=timezone,
        weekdays=weekdays,
        every=every,
        start_date=start_date,
        dst=dst,
        start_at=start_at,
        end_at=end_at,
    )


def to_json(s: Calendar) -> dict[str, Any]:
    """Return the canonical object."""
    weekdays = {"weekdays": [WEEKDAYS[day] for day in s.weekdays]} if s.frequency == "weekly" else {}
    start_date = {"start_date": s.start_date.isoformat()} if s.start_date else {}
    optional = {"start_at": s.start_at, "end_at": s.end_at}
    return {
        "kind": "calendar",
        "frequency": s.frequency,
        "times": [at.strftime("%H:%M") for at in s.times],
        **weekdays,
        "every": s.every,
        **start_date,
        "timezone": s.timezone,
        "dst": {"gap": s.dst.gap, "overlap": s.dst.overlap},
        **{name: write_instant(at) for name, at in optional.items() if at},
    }


def dates(s: Calendar, start: date) -> Iterator[date]:
    """Yield the rule's local dates from `start` on, ascending, up to the horizon."""
    first = max(start, s.start_date) if s.start_date else start
    ordinals = _daily(s, first.toordinal()) if s.frequency == "daily" else _weekly(s, first.toordinal())
    for ordinal in ordinals:
        if ordinal > _LAST_DAY:
            return
        yield date.fromordinal(ordinal)


def walls(s: Calendar, start: datetime) -> Iterator[datetime]:
    """Yield the rule's naive local times from `start` on, ascending."""
    days = dates(s, start.date())
    for day in days:
        skip = bisect_left(s.times, start.time()) if day == start.date() else 0
        for at in s.times[skip:]:
            yield datetime.combine(day, at)


def _daily(s: Calendar, first: int) -> Iterator[int]:
    base = s.start_date.toordinal() if s.start_date else first
    return count(first + (base - first) % s.every, s.every)


def _weekly(s: Calendar, first: int) -> Iterator[int]:
    base = _monday(s.start_date.toordinal() if s.start_date else first)
    monday = _monday(first)
    weeks_to_wait = (base - monday) // 7 % s.every
    for week in count(monday + 7 * weeks_to_wait, 7 * s.every):
        for weekday in s.weekdays:
            if week + weekday >= first:
                yield week + weekday


def _monday(ordinal: int) -> int:
    return ordinal - (ordinal - 1) % 7


def _weekdays_of(
    fields: Fields, frequency: str, weekdays: tuple[int, ...], start_date: date | None
) -> tuple[int, ...]:
    if frequency == "daily" and weekdays:
        fields.refuse("weekdays", "not_allowed", 'For certain weekdays, use `"frequency": "weekly"`.')
    if frequency == "weekly" and not weekdays:
        if start_date:
            return (start_date.weekday(),)
        fields.refuse("weekdays", "missing", "`weekdays` is required for weekly, or give a `start_date`.")
    return tuple(sorted(weekdays))


def _time(value: object) -> time:
    text = typed(value, str)
    if not _TIME.fullmatch(text):
        raise refused("invalid_time", "Write a local time as HH:MM, from 00:00 to 23:59.")
    return time.fromisoformat(text)


def _weekday(value: object) -> int:
    return WEEKDAYS.index(choice(WEEKDAYS)(value))


def _timezone(value: object) -> str:
    return zones.canonical(typed(value, str))


def _dst(value: object) -> Dst:
    fields = Fields(value)
    gap: Gap = fields.take("gap", choice(["shift", "skip"]), "shift")
    overlap: Overlap = fields.take("overlap", choice(["first", "second", "both"]), "first")
    fields.finish()
    return Dst(gap, overlap)
