"""What is to be written for a notification that has come due: pure decisions over its row."""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from notifier.clock import new_id
from notifier.domain import schedule
from notifier.domain.delivery import Reason, Status, message_id
from notifier.domain.schedule import Interval, Judgement, Missed, Schedule
from notifier.storage.plan_rows import Due, Move, Moved, NewDelivery

MOST_MISSED_LISTED = 24
"""Missed slots that get rows of their own; what is older becomes one range."""

UNPLANNABLE_DELAY = timedelta(hours=1)

SENT = (Status.PENDING, None)
HELD = (Status.HELD, Reason.OVERDUE)
UNPLANNABLE = (Status.FAILED, Reason.PLANNING_ERROR)
ENDS = {
    "coalesced": (Status.MISSED, Reason.COALESCED),
    "grace_exceeded": (Status.MISSED, Reason.GRACE_EXCEEDED),
    "excluded": (Status.SKIPPED, Reason.EXCLUDED),
    "holiday": (Status.SKIPPED, Reason.HOLIDAY),
    "skip": (Status.SKIPPED, Reason.EXCLUDED),
    "move": (Status.SKIPPED, Reason.MOVED),
}
"""How a slot for which nothing is sent stands in the ledger."""


@dataclass(slots=True)
class Plan:
    """What one batch will write.

    `destinations` is by (project id, notification id), `exceptions` by these and the slot. With
    `hold_before`, slots older than that instant are held for a decision instead of being sent. `counted`
    has a row for each moved slot that counts for `max_occurrences` now.
    """

    destinations: Mapping[tuple[UUID, UUID], list[UUID]]
    exceptions: Mapping[tuple[UUID, UUID], Mapping[datetime, Row[Any]]]
    hold_before: datetime | None = None
    deliveries: list[NewDelivery] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    counted: list[Moved] = field(default_factory=list)
    _alike: dict[Hashable, "_Found"] = field(default_factory=dict)

    def add_due(self, row: Due) -> None:
        """Add all slots that have come due: some are sent, the others end at once with their reason."""
        rule = schedule.parse_text(row.schedule)
        exceptions = self.exceptions.get((row.project_id, row.id), {})
        found = self._found(row, rule, exceptions)
        taken = _within_limit(row, rule, found.judged, exceptions)
        deliveries = [*self._range(row, found.judged)]
        for slot, reason in taken.slots:
            deliveries += self._slot(row, rule, slot, reason, exceptions.get(slot), found.following)
        next_due_at = None if _exhausted(row, rule, taken.count) else found.following
        self.deliveries += deliveries
        self.moves.append(Move(row.project_id, row.id, row.revision, found.latest, next_due_at, taken.count))

    def _found(self, row: Due, rule: Schedule, exceptions: Mapping[datetime, Row[Any]]) -> "_Found":
        """Return what has come due; of the many that are due at nine o'clock, most are alike."""
        if exceptions:
            return _find(row, rule, exceptions)
        key = (row.schedule, row.next_due_at, row.now, row.anchor_at if isinstance(rule, Interval) else None)
        if key not in self._alike:
            self._alike[key] = _find(row, rule, exceptions)
        return self._alike[key]

    def add_moved(self, row: Moved) -> None:
        """Add a slot that was moved to another instant.

        It counts for `max_occurrences` when the first of both instants comes.
        """
        rule = schedule.parse_text(row.schedule)
        is_counted = row.last_slot_at is not None and row.slot_at <= row.last_slot_at
        if not is_counted:
            if _exhausted(row, rule, 0):
                return  # the rule had its last slot before
            self.counted.append(row)
        # what is sent late though newer slots have come is tried until another one comes
        after = max(row.move_to, row.now) if rule.limits.missed.policy == "all" else row.move_to
        following = schedule.next_slot(rule, after=after, anchor=row.anchor_at)
        self.deliveries += self._sent(row, rule, row.move_to, row.exception_id, following)

    def put_off(self, row: Due) -> None:
        """Record the slot of a row that cannot be planned as failed, and look at it again later."""
        self.deliveries += self._rows(row, row.next_due_at, UNPLANNABLE)
        later = row.now + UNPLANNABLE_DELAY
        self.moves.append(Move(row.project_id, row.id, row.revision, row.next_due_at, later))

    def give_up(self, row: Moved) -> None:
        """Record a moved slot that cannot be planned as failed."""
        self.deliveries += self._rows(row, row.move_to, UNPLANNABLE)

    def _slot(
        self,
        row: Due,
        rule: Schedule,
        slot: datetime,
        reason: str | None,
        exception: Row[Any] | None,
        following: datetime | None,
    ) -> Iterator[NewDelivery]:
        """Yield the rows of a slot that has come due."""
        if reason:
            return self._rows(row, slot, ENDS[reason])
        return self._sent(row, rule, slot, exception.id if exception else None, following)

    def _sent(
        self,
        row: Due | Moved,
        rule: Schedule,
        slot: datetime,
        exception_id: UUID | None,
        following: datetime | None,
    ) -> Iterator[NewDelivery]:
        """Yield the rows of a slot to be sent: how late it may start, and until when it is tried again."""
        if self.hold_before is not None and slot < self.hold_before:
            return self._rows(row, slot, HELD, exception_id=exception_id)
        start_by = schedule.start_by(rule, slot, next_slot=following)
        return self._rows(row, slot, SENT, exception_id=exception_id, start_by=start_by, expires_at=following)

    def _range(self, row: Due, judged: Judgement) -> Iterator[NewDelivery]:
        """Yield a long run of slots for which nothing is sent."""
        if rest := judged.rest:
            yield from self._rows(
                row, rest.first, ENDS[rest.reason], slot_count=rest.count, range_end=rest.before
            )

    def _rows(
        self, row: Due | Moved, slot: datetime, end: tuple[Status, Reason | None], **more: Any
    ) -> Iterator[NewDelivery]:
        """Yield the ledger's row of a slot for each destination."""
        for destination_id in self.destinations.get((row.project_id, row.id), []):
            yield NewDelivery(
                project_id=row.project_id,
                id=new_id(),
                notification_id=row.id,
                revision=row.revision,
                destination_id=destination_id,
                scheduled_for=slot,
                message_id=message_id(row.id, destination_id, slot),
                status=end[0],
                reason=end[1],
                **more,
            )


@dataclass(frozen=True, slots=True)
class _Found:
    """Slots that have come due up to the latest, judged, and the one that follows them."""

    latest: datetime
    following: datetime | None
    judged: Judgement


@dataclass(frozen=True, slots=True)
class _Taken:
    """Slots with the reason why nothing is sent, if any; `count` of them `max_occurrences` counts."""

    slots: list[tuple[datetime, str | None]]
    count: int


def _find(row: Due, rule: Schedule, exceptions: Mapping[datetime, Row[Any]]) -> _Found:
    """Judge the slots that have come due."""
    missed, following = _missed(row, rule)
    left_out = {at: one.action for at, one in exceptions.items() if one.action in ENDS}
    return _Found(missed.latest, following, schedule.judge(rule, missed, now=row.now, left_out=left_out))


def _missed(row: Due, rule: Schedule) -> tuple[Missed, datetime | None]:
    """Return the slots that have come due, and the one that follows them."""
    first: datetime = row.next_due_at
    following = schedule.next_slot(rule, after=first, anchor=row.anchor_at)
    if following is None or following > row.now:
        return Missed(first, first, 0, ()), following
    found = schedule.missed(rule, first_due=first, now=row.now, anchor=row.anchor_at, keep=MOST_MISSED_LISTED)
    return found, schedule.next_slot(rule, after=found.latest, anchor=row.anchor_at)


def _within_limit(
    row: Due, rule: Schedule, judged: Judgement, exceptions: Mapping[datetime, Row[Any]]
) -> _Taken:
    """Return the judged slots, ascending, up to the last one that `max_occurrences` allows."""
    if rule.limits.max_occurrences is None and not judged.unsent:
        return _Taken([(slot, None) for slot in judged.send], len(judged.send))
    fates: dict[datetime, str | None] = {one.slot: one.reason for one in judged.unsent}
    fates |= dict.fromkeys(judged.send)
    taken, count = [], 0
    for slot, reason in sorted(fates.items(), key=lambda one: one[0]):
        if _exhausted(row, rule, count):
            break
        taken.append((slot, reason))
        # a slot that was moved to an earlier instant has been counted there
        count += reason is None or (reason == "move" and exceptions[slot].planned_at is None)
    return _Taken(taken, count)


def _exhausted(row: Due | Moved, rule: Schedule, more: int) -> bool:
    """Say whether `max_occurrences` allows no slot beyond those counted and `more`."""
    most = rule.limits.max_occurrences
    return most is not None and row.slots_sent + more >= most
