"""What is to be written for a notification that has come due: pure decisions over its row."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from notifier.clock import new_id
from notifier.domain import schedule
from notifier.domain.delivery import Reason, Status, message_id
from notifier.domain.schedule import Judgement, Schedule
from notifier.storage.planning import Move, NewDelivery

MOST_MISSED_LISTED = 100
UNPLANNABLE_DELAY = timedelta(hours=1)

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
    `hold_before`, slots older than that instant are held for a decision instead of being sent.
    """

    destinations: Mapping[tuple[UUID, UUID], list[UUID]]
    exceptions: Mapping[tuple[UUID, UUID, datetime], Row[Any]]
    hold_before: datetime | None = None
    deliveries: list[NewDelivery] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)

    def add_due(self, row: Row[Any]) -> None:
        """Add all slots that have come due: some are sent, the others end at once with their reason."""
        rule = schedule.parse(row.schedule)
        found = schedule.missed(
            rule, first_due=row.next_due_at, now=row.now, anchor=row.anchor_at, keep=MOST_MISSED_LISTED
        )
        judged = schedule.judge(rule, found, now=row.now)
        self._end(row, judged)
        sent = [slot for slot in judged.send[: _left(row, rule)] if self._send(row, rule, slot)]
        next_due_at = schedule.next_slot(
            rule, after=found.latest, anchor=row.anchor_at, ended=row.slots_sent + len(sent)
        )
        self.moves.append(Move(row.project_id, row.id, row.revision, found.latest, next_due_at, len(sent)))

    def add_moved(self, row: Row[Any]) -> None:
        """Add a slot that was moved to another instant."""
        rule = schedule.parse(row.schedule)
        self.deliveries += self._rows(row, row.move_to, expires_at=_start_by(row, rule, row.move_to))

    def put_off(self, row: Row[Any]) -> None:
        """Record the slot of a row that cannot be planned as failed, and look at it again later."""
        end = (Status.FAILED, Reason.PLANNING_ERROR)
        self.deliveries += self._rows(row, row.next_due_at, end=end)
        later = row.now + UNPLANNABLE_DELAY
        self.moves.append(Move(row.project_id, row.id, row.revision, row.next_due_at, later))

    def _send(self, row: Row[Any], rule: Schedule, slot: datetime) -> bool:
        """Add a slot to be sent, unless an exception says otherwise; return whether it will be."""
        exception = self.exceptions.get((row.project_id, row.id, slot))
        if exception is not None and exception.action in ENDS:
            self.deliveries += self._rows(row, slot, end=ENDS[exception.action])
            return False
        end = (Status.HELD, Reason.OVERDUE) if self._is_held(slot) else (Status.PENDING, None)
        expires_at = None if end[1] else _start_by(row, rule, slot)
        exception_id = exception.id if exception is not None else None
        self.deliveries += self._rows(row, slot, end=end, expires_at=expires_at, exception_id=exception_id)
        return True

    def _is_held(self, slot: datetime) -> bool:
        return self.hold_before is not None and slot < self.hold_before

    def _end(self, row: Row[Any], judged: Judgement) -> None:
        """Add the slots for which nothing is sent; a long run of them is one range."""
        if rest := judged.rest:
            ranged = {"slot_count": rest.count, "range_end": rest.before}
            self.deliveries += self._rows(row, rest.first, end=ENDS[rest.reason], **ranged)
        for one in judged.unsent:
            self.deliveries += self._rows(row, one.slot, end=ENDS[one.reason])

    def _rows(
        self,
        row: Row[Any],
        slot: datetime,
        *,
        end: tuple[Status, Reason | None] = (Status.PENDING, None),
        **more: Any,
    ) -> Iterator[NewDelivery]:
        """Yield the ledger's row of a slot for each destination."""
        more.setdefault("exception_id", getattr(row, "exception_id", None))
        more.setdefault("expires_at", None)
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


def _left(row: Row[Any], rule: Schedule) -> int | None:
    """Return how many slots `max_occurrences` leaves, None for any number."""
    most = rule.limits.max_occurrences
    return None if most is None else most - row.slots_sent


def _start_by(row: Row[Any], rule: Schedule, slot: datetime) -> datetime | None:
    """Return when it is too late for the slot's first try, and for another one."""
    following = schedule.next_slot(rule, after=slot, anchor=row.anchor_at)
    return schedule.start_by(rule, slot, next_slot=following)
