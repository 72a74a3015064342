"""What the planner takes and what it writes, a row each. Tuples: a row's own attributes are slow to read."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row

from notifier.domain.delivery import Status


class Due(NamedTuple):
    """A notification whose slot has come; `schedule` is JSON, `now` when it was taken. Instants are UTC."""

    project_id: UUID
    id: UUID
    revision: int
    schedule: str
    anchor_at: datetime
    next_due_at: datetime
    slots_sent: int
    now: datetime


class Moved(NamedTuple):
    """A slot that a user moved to another instant, which has come; likewise."""

    project_id: UUID
    id: UUID
    revision: int
    schedule: str
    anchor_at: datetime
    last_slot_at: datetime | None
    slots_sent: int
    exception_id: UUID
    slot_at: datetime
    move_to: datetime
    now: datetime


class NewDelivery(NamedTuple):
    """One row for the ledger: `pending`, `held`, or ended at once with a reason.

    `slot_count` over 1 makes it a range, from `scheduled_for` to `range_end`.
    """

    project_id: UUID
    id: UUID
    notification_id: UUID
    destination_id: UUID
    message_id: str
    revision: int
    scheduled_for: datetime
    start_by: datetime | None = None
    expires_at: datetime | None = None
    status: str = Status.PENDING
    reason: str | None = None
    slot_count: int = 1
    range_end: datetime | None = None
    exception_id: UUID | None = None


class Move(NamedTuple):
    """Where a planned notification stands now; without `next_due_at` it is completed.

    `sent` is how many of its slots were taken up to be sent.
    """

    project_id: UUID
    id: UUID
    revision: int
    last_slot_at: datetime
    next_due_at: datetime | None
    sent: int = 0


def as_due(row: Row[Any]) -> Due:
    """Return a row that has these columns, and perhaps more, as the planner takes it."""
    return Due._make(getattr(row, name) for name in Due._fields)
