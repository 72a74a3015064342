"""The slots of a wall-clock schedule: the rule's local times, joined with its zone, within its bounds."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile

from notifier.domain.schedule import rules, walltime, zones
from notifier.domain.schedule.model import Interval, Occurrence, Once, Schedule, WallClock

_TICK = timedelta(microseconds=1)


def occurrences(s: WallClock, after: datetime) -> Iterator[Occurrence]:
    """Yield the slots strictly after `after`, each with the local time it stands for."""
    floor = max(after, s.limits.start_at - _TICK) if s.limits.start_at else after
    zone = zones.load(s.timezone)
    walls = rules.walls(s, walltime.search_start(floor, zone))
    end_at = rules.ends_at(s)
    for found in walltime.join(walls, zone, s.dst):
        if end_at and found.at > end_at:
            return
        if found.at > floor:
            yield found


def between(s: WallClock, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the slots of (after, until], ascending, UTC."""
    return (found.at for found in takewhile(lambda found: found.at <= until, occurrences(s, after)))


def find(s: Schedule, slot: datetime) -> Occurrence | None:
    """Return the local time that a slot stands for, or None if the rule has no such slot."""
    if isinstance(s, Interval):
        return None
    if isinstance(s, Once):
        found = walltime.readings(s.wall, zones.load(s.timezone), s.dst) if s.wall else ()
        return next((one for one in found if one.at == slot), None)
    first = next(occurrences(s, slot - _TICK), None)
    return first if first and first.at == slot else None
