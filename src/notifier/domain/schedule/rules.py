"""What all wall-clock kinds have in common: a rule gives local dates and times, and never sees a zone."""

from bisect import bisect_left
from collections.abc import Iterator
from datetime import date, datetime, time

from notifier.domain.schedule import dates
from notifier.domain.schedule.model import WallClock


def local_dates(s: WallClock, start: date) -> Iterator[date]:
    """Yield the rule's local dates from `start` on, ascending, up to the horizon."""
    return dates.from_date(s, start)


def local_times(s: WallClock) -> tuple[time, ...]:
    """Return the local times of each of the rule's dates, ascending."""
    return s.times


def walls(s: WallClock, start: datetime) -> Iterator[datetime]:
    """Yield the rule's naive local times from `start` on, ascending."""
    times = local_times(s)
    for day in local_dates(s, start.date()):
        skip = bisect_left(times, start.time()) if day == start.date() else 0
        for at in times[skip:]:
            yield datetime.combine(day, at)
