"""What a wall-clock schedule missed: counted by dates where the offset is constant, never slot by slot."""

from bisect import bisect_right
from datetime import datetime, timedelta
from itertools import takewhile

from notifier.domain.schedule import rules, walltime, zones
from notifier.domain.schedule.model import Dated, Missed, Rrule, WallClock
from notifier.domain.schedule.wallclock import between

_DAY = timedelta(days=1)


def missed(s: WallClock, first_due: datetime, now: datetime, keep: int) -> Missed:
    """Return the slots from `first_due`, which counts whether or not the rule has it, to `now`."""
    newest = _newest(s, first_due, now, keep + 1)
    if len(newest) <= keep:
        newest.insert(0, first_due)
    return Missed(first_due, newest[-1], _count(s, first_due, now), tuple(newest[:-1]))


def _newest(s: WallClock, after: datetime, until: datetime, wanted: int) -> list[datetime]:
    """Return the last `wanted` slots of (after, until], looking back in growing steps."""
    back = _DAY
    while until - back > after:
        found = list(between(s, until - back, until))
        if len(found) >= wanted:
            return found[-wanted:]
        back *= 4
    return list(between(s, after, until))[-wanted:]


def _count(s: WallClock, after: datetime, until: datetime) -> int:
    """Count the slots of (after, until]: one by one near changes of offset, by dates elsewhere."""
    if isinstance(s, Rrule):
        return sum(1 for _ in between(s, after, until))
    mark = max(after, s.limits.start_at - timedelta(microseconds=1)) if s.limits.start_at else after
    until = min(until, s.limits.end_at) if s.limits.end_at else until
    total = 0
    for change in walltime.changes(zones.load(s.timezone), mark - walltime.REACH, until + walltime.REACH):
        quiet_until = min(until, max(mark, change - walltime.REACH))
        busy_until = min(until, max(mark, change + walltime.REACH))
        total += _count_quiet(s, mark, quiet_until)
        total += sum(1 for _ in between(s, quiet_until, busy_until))
        mark = busy_until
    return total + _count_quiet(s, mark, until)


def _count_quiet(s: Dated, after: datetime, until: datetime) -> int:
    """Count where every local time is one instant: whole dates, less what lies outside at both ends."""
    if until <= after:
        return 0
    zone = zones.load(s.timezone)
    first, last = after.astimezone(zone), until.astimezone(zone)
    times = rules.local_times(s)
    days = list(takewhile(lambda day: day <= last.date(), rules.local_dates(s, first.date())))
    before = bisect_right(times, first.time()) if days and days[0] == first.date() else 0
    behind = len(times) - bisect_right(times, last.time()) if days and days[-1] == last.date() else 0
    return len(days) * len(times) - before - behind
