"""The questions asked of any schedule; each kind answers by its own arithmetic."""

from collections.abc import Iterator
from datetime import UTC, datetime

from notifier.domain.schedule import downtime, interval, zones
from notifier.domain.schedule.model import Calendar, Interval, Missed, Schedule
from notifier.domain.schedule.wallclock import occurrences


def kind(s: Schedule) -> str:
    """Return the kind's name as it stands in JSON."""
    return "interval" if isinstance(s, Interval) else "calendar"


def drifts(s: Schedule) -> bool:
    """Say whether a delivered slot moves the clock to the time it was delivered."""
    return isinstance(s, Interval) and s.anchor == "delivered"


def local(s: Schedule, slot: datetime) -> datetime:
    """Return a slot in the schedule's zone; intervals have none and answer in UTC."""
    return slot.astimezone(UTC if isinstance(s, Interval) else zones.load(s.timezone))


def first_anchor(s: Schedule, *, now: datetime) -> datetime:
    """Return the instant that a schedule made at `now` counts from."""
    return (isinstance(s, Interval) and s.start_at) or now


def first_slot(s: Schedule, *, now: datetime) -> datetime | None:
    """Return the first slot of a schedule made at `now`, UTC, or None if there is none.

    An interval's `start_at` of the last five minutes is due at once; nothing is sent for an older past.
    """
    if isinstance(s, Interval):
        return interval.first_slot(s, now)
    return next_slot(s, after=now, anchor=now)


def next_slot(s: Schedule, *, after: datetime, anchor: datetime) -> datetime | None:
    """Return the first slot strictly after `after`, UTC, or None if there is none.

    `anchor` is the instant that an interval counts from; calendars do not need it.
    """
    if isinstance(s, Interval):
        return interval.next_slot(s, after, anchor)
    return next((found.at for found in occurrences(s, after)), None)


def slots(s: Schedule, *, after: datetime, anchor: datetime) -> Iterator[datetime]:
    """Yield the slots strictly after `after`, ascending, UTC."""
    if isinstance(s, Calendar):
        yield from (found.at for found in occurrences(s, after))
        return
    slot = interval.next_slot(s, after, anchor)
    while slot:
        yield slot
        slot = interval.next_slot(s, slot, anchor)


def missed(
    s: Schedule,
    *,
    first_due: datetime,
    now: datetime,
    anchor: datetime,  # noqa: ARG001 - kept in the signature: callers hold it, a kind may come to need it
    keep: int = 100,
) -> Missed:
    """Return what became due from `first_due` (a slot, not later than `now`) to `now`.

    `keep` caps how many of the older slots are listed; all are counted. `anchor` plays no part: a
    slot that ends without delivery is followed by slot + period.
    """
    if isinstance(s, Interval):
        return interval.missed(s, first_due, now, keep)
    return downtime.missed(s, first_due, now, keep)
