"""What becomes of slots that passed unsent: which are sent late, which are missed, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal, NamedTuple

from notifier.domain.schedule.exclusion import excluded
from notifier.domain.schedule.interval import JUST_NOW
from notifier.domain.schedule.model import Missed, Schedule

Fate = Literal["coalesced", "grace_exceeded"]
_NONE: Mapping[datetime, str] = MappingProxyType({})


class Unsent(NamedTuple):
    """A slot for which nothing is sent, and why: a `Fate`, an `Exclusion`, or what the caller said."""

    slot: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class UnsentRange:
    """A long run of missed slots, recorded as one: `count` slots from `first` up to, not with, `before`."""

    first: datetime
    before: datetime
    count: int
    reason: Fate


@dataclass(frozen=True, slots=True)
class Judgement:
    """The slots to send now and those that are not, all ascending, UTC."""

    send: tuple[datetime, ...]
    unsent: tuple[Unsent, ...]
    rest: UnsentRange | None


def judge(
    s: Schedule, found: Missed, *, now: datetime, left_out: Mapping[datetime, str] = _NONE
) -> Judgement:
    """Apply the schedule's policy and grace to the slots that have come due by `now`.

    The newest slot counts as due, not as missed, until its grace is over. `left_out` says why nothing is
    sent for some slots; the policy chooses among the others.
    """
    due = (*found.older, found.latest)
    reasons = {slot: reason for slot in due if (reason := excluded(s, slot) or left_out.get(slot))}
    wanted = [slot for slot in due if slot not in reasons][-_most_sent(s) :]
    send = tuple(slot for slot in wanted if not _too_late(s, slot, now))
    unsent = tuple(Unsent(slot, reasons.get(slot) or _fate(s, slot, now)) for slot in due if slot not in send)
    return Judgement(send, unsent, _rest(s, found, now))


def start_by(s: Schedule, slot: datetime, *, next_slot: datetime | None) -> datetime | None:
    """Return the instant before which a slot's first try has to begin, or None if it is never too late.

    `next_slot` is the first one after all that are sent together. It says nothing about further tries.
    """
    grace = _grace(s)
    # a slot that is just as late as its grace is in time
    over = slot + grace + timedelta.resolution if grace is not None else None
    if next_slot is None or s.limits.missed.policy == "all":
        return over
    return min(over, next_slot) if over else next_slot


def _most_sent(s: Schedule) -> int:
    return s.limits.missed.most if s.limits.missed.policy == "all" else 1


def _grace(s: Schedule) -> timedelta | None:
    """Return how late is too late; `skip` without a number means late beyond what is just now."""
    rule = s.limits.missed
    return JUST_NOW if rule.policy == "skip" and rule.grace is None else rule.grace


def _too_late(s: Schedule, slot: datetime, now: datetime) -> bool:
    grace = _grace(s)
    return grace is not None and now - slot > grace


def _fate(s: Schedule, slot: datetime, now: datetime) -> Fate:
    return "grace_exceeded" if _too_late(s, slot, now) else "coalesced"


def _rest(s: Schedule, found: Missed, now: datetime) -> UnsentRange | None:
    count = found.older_count - len(found.older)
    if not count:
        return None
    before = found.older[0] if found.older else found.latest
    return UnsentRange(found.first, before, count, _fate(s, before, now))
