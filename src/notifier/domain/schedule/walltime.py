"""Joining local time and zone: the only place where wall clock readings become instants."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from notifier.domain.schedule.model import Dst, Occurrence

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)

REACH = timedelta(hours=25)
"""No zone ever changed its offset by more than a day: this far from a change, nothing is special."""


def offset_at(instant: datetime, zone: ZoneInfo) -> timedelta:
    """Return the offset from UTC that is in force at an instant."""
    return instant.astimezone(zone).utcoffset() or timedelta()


def search_start(after: datetime, zone: ZoneInfo) -> datetime:
    """Return the naive local time from which on readings can stand for instants later than `after`."""
    local = after.astimezone(zone)
    offset = local.utcoffset()
    wall = local.replace(tzinfo=None, fold=0)
    if offset == offset_at(after - _DAY, zone) == offset_at(after + _DAY, zone):
        return wall
    return wall - REACH


def readings(wall: datetime, zone: ZoneInfo, dst: Dst) -> tuple[Occurrence, ...]:
    """Return the instants that one naive local time stands for: none, one, or two under `both`."""
    before, after = zone.utcoffset(wall), zone.utcoffset(wall.replace(fold=1))
    assert before is not None  # noqa: S101 - for the type checker: a ZoneInfo always has an offset
    assert after is not None  # noqa: S101
    first = (wall - before).replace(tzinfo=UTC)
    if before == after:
        return (Occurrence(first, wall, "plain"),)
    if before < after:
        return (Occurrence(first, wall, "shifted"),) if dst.gap == "shift" else ()
    both = Occurrence(first, wall, "first"), Occurrence((wall - after).replace(tzinfo=UTC), wall, "second")
    return both if dst.overlap == "both" else both[:1] if dst.overlap == "first" else both[1:]


def join(walls: Iterable[datetime], zone: ZoneInfo, dst: Dst) -> Iterator[Occurrence]:
    """Turn ascending naive local times into strictly ascending slots.

    A shifted slot waits for the next real one: if it does not come before that one, it is dropped, as
    on a local date that is missing as a whole. Under `both`, second readings wait to be sorted in.
    """
    waiting: list[Occurrence] = []
    for wall in walls:
        found = readings(wall, zone, dst)
        if not found or found[0].reading == "shifted":
            waiting.extend(found)
            continue
        if waiting:
            yield from (w for w in waiting if w.at < found[0].at)
            waiting = [w for w in waiting if w.at > found[0].at and w.reading != "shifted"]
        if waiting or len(found) > 1:
            waiting = sorted((*waiting, *found))
        else:
            yield found[0]
    yield from waiting


def changes(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the instants of (start, end] at which the zone's offset changes, to the second, ascending."""
    low, offset = start, offset_at(start, zone)
    while low < end:
        high = min(low + _DAY, end)
        if offset_at(high, zone) != offset:
            yield _bisect(zone, low, high)
            offset = offset_at(high, zone)
        low = high


def _bisect(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """Return the whole second in (low, high] from which on the offset is that of `high`."""
    offset = offset_at(high, zone)
    low = low.replace(microsecond=0)
    while high - low > _SECOND:
        middle = (low + (high - low) / 2).replace(microsecond=0)
        low, high = (low, middle) if offset_at(middle, zone) == offset else (middle, high)
    return high.replace(microsecond=0)
