"""The slots of a wall-clock schedule: the rule's local times, joined with its zone, within its bounds."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile

from notifier.domain.schedule import calendar, walltime, zones
from notifier.domain.schedule.model import Calendar, Occurrence

_TICK = timedelta(microseconds=1)


def occurrences(s: Calendar, after: datetime) -> Iterator[Occurrence]:
    """Yield the slots strictly after `after`, each with the local time it stands for."""
    floor = max(after, s.start_at - _TICK) if s.start_at else after
    zone = zones.load(s.timezone)
    walls = calendar.walls(s, walltime.search_start(floor, zone))
    for found in walltime.join(walls, zone, s.dst):
        if s.end_at and found.at > s.end_at:
            return
        if found.at > floor:
            yield found


def between(s: Calendar, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the slots of (after, until], ascending, UTC."""
    return (found.at for found in takewhile(lambda found: found.at <= until, occurrences(s, after)))
