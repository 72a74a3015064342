"""The questions asked of any schedule; each kind answers by its own arithmetic."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from notifier.domain.schedule import downtime, interval, once, wallclock, zones
from notifier.domain.schedule.model import Interval, Missed, Once, Schedule

TICK = timedelta(microseconds=1)


def drifts(s: Schedule) -> bool:
    """Say whether a delivered slot moves the clock to the time it was delivered."""
    return isinstance(s, Interval) and s.anchor == "delivered"


def local(s: Schedule, slot: datetime) -> datetime:
    """Return a slot in the schedule's zone; kinds that have none answer in UTC."""
    return slot.astimezone(UTC if isinstance(s, Interval) else zones.load(s.timezone))


def first_anchor(s: Schedule, *, now: datetime) -> datetime:
    """Return the instant that a schedule made at `now` counts from."""
    return (isinstance(s, Interval) and s.limits.start_at) or now


def first_slot(s: Schedule, *, now: datetime) -> datetime | None:
    """Return the first slot of a schedule made at `now`, UTC, or None if there is none.

    An interval's `start_at`, or a single slot, of the last five minutes is due at once; nothing is sent
    for an older past.
    """
    if isinstance(s, Interval):
        return interval.first_slot(s, now)
    if isinstance(s, Once):
        return once.first_slot(s, now)
    return next_slot(s, after=now, anchor=now)


def next_slot(s: Schedule, *, after: datetime, anchor: datetime, ended: int = 0) -> datetime | None:
    """Return the first slot strictly after `after`, UTC, or None if there is none.

    `anchor` is the instant that an interval counts from; other kinds do not need it. `ended` is how many
    slots have ended delivered, partly delivered or failed: `max_occurrences` of them are the last.
    """
    if s.limits.max_occurrences is not None and ended >= s.limits.max_occurrences:
        return None
    if isinstance(s, Interval):
        return interval.next_slot(s, after, anchor)
    if isinstance(s, Once):
        return once.next_slot(s, after)
    return next((found.at for found in wallclock.occurrences(s, after)), None)


def slots(s: Schedule, *, after: datetime, anchor: datetime) -> Iterator[datetime]:
    """Yield the slots strictly after `after`, ascending, UTC; `max_occurrences` does not end them."""
    if not isinstance(s, Interval | Once):
        yield from (found.at for found in wallclock.occurrences(s, after))
        return
    slot = next_slot(s, after=after, anchor=anchor)
    while slot:
        yield slot
        slot = next_slot(s, after=slot, anchor=anchor)


def missed(
    s: Schedule,
    *,
    first_due: datetime,
    now: datetime,
    anchor: datetime,  # noqa: ARG001 - callers hold it, and a kind may come to need it
    keep: int = 100,
) -> Missed:
    """Return what became due from `first_due` (a slot, not later than `now`) to `now`.

    `keep` caps how many of the older slots are listed; all are counted. `anchor` plays no part: a
    slot that ends without delivery is followed by slot + period.
    """
    if isinstance(s, Interval):
        return interval.missed(s, first_due, now, keep)
    if isinstance(s, Once):
        return Missed(first_due, first_due, 0, ())
    return downtime.missed(s, first_due, now, keep)
