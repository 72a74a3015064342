"""Local dates of a calendar rule, by arithmetic: the age of a schedule costs nothing."""

from calendar import monthrange
from collections.abc import Iterator
from datetime import date
from itertools import count

from notifier.domain.schedule.model import HORIZON, Calendar, NthWeekday

_LAST_DAY = HORIZON.date().toordinal() - 1


def from_date(s: Calendar, start: date) -> Iterator[date]:
    """Yield the rule's local dates from `start` on, ascending, up to the horizon."""
    first = max(start, s.start_date) if s.start_date else start
    for ordinal in _GENERATORS[s.frequency](s, first.toordinal()):
        if ordinal > _LAST_DAY:
            return
        yield date.fromordinal(ordinal)


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


def _monthly(s: Calendar, first: int) -> Iterator[int]:
    month = _month(date.fromordinal(first))
    base = _month(s.start_date) if s.start_date else month
    for index in count(month + (base - month) % s.every, s.every):
        if index > _LAST_MONTH:
            return
        year, month = divmod(index, 12)
        month_start = date(year, month + 1, 1).toordinal() - 1
        for day in _days_of_month(s, year, month + 1):
            if month_start + day >= first:
                yield month_start + day


def _month(day: date) -> int:
    return day.year * 12 + day.month - 1


def _days_of_month(s: Calendar, year: int, month: int) -> list[int]:
    """Return the rule's days of this month, ascending, each once."""
    first_weekday, length = monthrange(year, month)
    days = {length if day == -1 else day for day in s.month_days}
    if s.month_day_policy == "clamp":
        days = {min(day, length) for day in days}
    days |= {_nth_day(rule, first_weekday, length) for rule in s.nth_weekdays}
    return sorted(day for day in days if day <= length)


def _nth_day(rule: NthWeekday, first_weekday: int, length: int) -> int:
    """Return the day of the month, which lies beyond the month's end where the month has no such day."""
    first = 1 + (rule.weekday - first_weekday) % 7
    if rule.nth == -1:
        return first + (length - first) // 7 * 7
    return first + (rule.nth - 1) * 7


_LAST_MONTH = _month(HORIZON.date()) - 1
_GENERATORS = {"daily": _daily, "weekly": _weekly, "monthly": _monthly}
