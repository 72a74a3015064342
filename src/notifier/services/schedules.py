"""What a schedule would do: its coming slots, with all that is special about them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from notifier.domain import schedule
from notifier.domain.errors import InvalidInput
from notifier.domain.schedule import Note, Schedule, Transition


@dataclass(frozen=True, slots=True)
class Slot:
    """A coming slot: UTC, local time, and what is special about it."""

    at: datetime
    local: datetime
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """What a schedule would do if it were saved now."""

    slots: Sequence[Slot]
    transitions: Sequence[Transition]
    warnings: Sequence[Note]


def read(value: object) -> Schedule:
    """Return the schedule that `value` (JSON) describes. Raises InvalidInput under /schedule."""
    try:
        return schedule.parse(value)
    except InvalidInput as error:
        raise error.under("/schedule") from None


def preview(value: object, *, start: datetime, count: int) -> Preview:
    """Return the first `count` slots of a schedule made at `start`, and what to know about it."""
    rule = read(value)
    first = schedule.first_slot(rule, now=start)
    anchor = schedule.first_anchor(rule, now=start)
    return Preview(
        list(coming(rule, first=first, anchor=anchor, count=count)),
        schedule.transitions(rule, now=start),
        schedule.warnings(rule, now=start, given=value),
    )


def coming(
    rule: Schedule, *, first: datetime | None, anchor: datetime, count: int, ended: int = 0
) -> Iterator[Slot]:
    """Yield up to `count` slots from `first` on; those that are left out by date carry a note.

    An interval that counts from deliveries is shown as if each were delivered at once. `ended` is how many
    slots `max_occurrences` counts already.
    """
    if first is None:
        return
    left = rule.limits.max_occurrences
    for at in islice(_from(rule, first, anchor), count):
        if left is not None and ended >= left:
            return
        ended += schedule.excluded(rule, at) is None
        yield Slot(at, schedule.local(rule, at), schedule.notes(rule, at))


def _from(rule: Schedule, first: datetime, anchor: datetime) -> Iterator[datetime]:
    yield first
    yield from schedule.slots(rule, after=first, anchor=anchor)
