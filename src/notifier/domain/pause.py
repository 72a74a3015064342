"""How a pause ends: where the clock stands afterwards, and which slots passed meanwhile."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.domain import schedule
from notifier.domain.schedule import Missed, Schedule

TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Resumption:
    """Where a resumed notification stands: UTC; without `next_due_at` it is completed.

    `skipped` is how many slots passed, from `first_skipped` up to, not with, `skipped_before`.
    """

    resumed_at: datetime
    anchor_at: datetime
    next_due_at: datetime | None
    first_skipped: datetime | None = None
    skipped: int = 0
    skipped_before: datetime | None = None


def resume(
    rule: Schedule,
    *,
    at: datetime,
    anchor_at: datetime,
    next_due_at: datetime | None,
    sent: int = 0,
    catch_up: bool = False,
) -> Resumption:
    """Return what follows when a notification is resumed `at` an instant (UTC).

    The next slot is the first one strictly after `at`, so nothing is sent at once; with `catch_up` it is the
    newest of those that passed. An interval that counts from deliveries counts from `at`. `next_due_at` is
    the slot at which the notification stood when it was paused: it stays if it has not passed, for it may
    be later than the rule alone would have it. `sent` is what `max_occurrences` counts.
    """
    passed = _passed(rule, at=at, anchor_at=anchor_at, next_due_at=next_due_at)
    if passed and catch_up:
        first = passed.first if passed.older_count else None
        return Resumption(at, anchor_at, passed.latest, first, passed.older_count, first and passed.latest)
    if passed is None and next_due_at is not None and not schedule.drifts(rule):
        return Resumption(at, anchor_at, next_due_at)
    anchor = at if schedule.drifts(rule) else anchor_at
    following = schedule.next_slot(rule, after=at, anchor=anchor, ended=sent)
    if passed is None:
        return Resumption(at, anchor, following)
    before = max(at, passed.latest + TICK)
    return Resumption(at, anchor, following, passed.first, passed.older_count + 1, before)


def _passed(
    rule: Schedule, *, at: datetime, anchor_at: datetime, next_due_at: datetime | None
) -> Missed | None:
    """Return the slots that came due up to `at`."""
    if next_due_at is None or next_due_at > at:
        return None
    return schedule.missed(rule, first_due=next_due_at, now=at, anchor=anchor_at, keep=0)
