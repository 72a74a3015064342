"""What all wall-clock kinds have in common: a rule gives local times, and never sees a zone."""

from bisect import bisect_left
from collections.abc import Iterator
from datetime import date, datetime, time

from notifier.domain.schedule import cron, dates, rrule
from notifier.domain.schedule.model import Calendar, Dated, Rrule, WallClock


def local_dates(s: Dated, start: date) -> Iterator[date]:
    """Yield the rule's local dates from `start` on, ascending, up to the horizon."""
    return dates.from_date(s, start) if isinstance(s, Calendar) else cron.local_dates(s, start)


def local_times(s: Dated) -> tuple[time, ...]:
    """Return the local times of each of the rule's dates, ascending."""
    return s.times if isinstance(s, Calendar) else cron.local_times(s)


def walls(s: WallClock, start: datetime) -> Iterator[datetime]:
    """Yield the rule's naive local times from `start` on, ascending."""
    return rrule.walls(s, start) if isinstance(s, Rrule) else _product(s, start)


def ends_at(s: WallClock) -> datetime | None:
    """Return the last instant allowed, UTC, by the limits or by the rule itself."""
    ends = [s.limits.end_at, rrule.ends_at(s) if isinstance(s, Rrule) else None]
    return min((end for end in ends if end), default=None)


def _product(s: Dated, start: datetime) -> Iterator[datetime]:
    times = local_times(s)
    for day in local_dates(s, start.date()):
        skip = bisect_left(times, start.time()) if day == start.date() else 0
        for at in times[skip:]:
            yield datetime.combine(day, at)
