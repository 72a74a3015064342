"""The end of a pause, as rows: the passed slots become one range, the notification goes on."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text

from notifier.clock import new_id
from notifier.domain.delivery import Reason, Status, message_id
from notifier.domain.pause import Resumption
from notifier.storage import notifications, planning
from notifier.storage.engine import Session

OVER = text("""
SELECT project_id, id, revision, schedule, anchor_at, next_due_at, slots_sent, paused_until
FROM notifications
WHERE clock = :clock AND status = 'paused' AND paused_until <= clock_now()
ORDER BY paused_until
LIMIT :batch
FOR UPDATE SKIP LOCKED
""")

UNPAUSED = {
    "paused_at": None,
    "pause_reason": None,
    "paused_by": None,
    "paused_until": None,
    "blocked_at": None,
    "blocked_reason": None,
}


async def over(session: Session, batch: int) -> Sequence[Row[Any]]:
    """Lock and return up to `batch` notifications whose pause was to last until now."""
    return (await session.execute(OVER, {"batch": batch, "clock": session.clock.id})).all()


async def end(session: Session, row: Row[Any], resumption: Resumption, *, changed_by: str) -> None:
    """Write the end of a pause as the next revision, and the slots that passed as one range."""
    await planning.add_slots(session, await _skipped(session, row, resumption))
    values = {
        **UNPAUSED,
        "anchor_at": resumption.anchor_at,
        "next_due_at": resumption.next_due_at,
        "completed_at": resumption.resumed_at if resumption.next_due_at is None else None,
    }
    await notifications.change(session, row.project_id, row.id, values, changed_by=changed_by)


async def _skipped(session: Session, row: Row[Any], passed: Resumption) -> list[planning.NewDelivery]:
    """Return the range of passed slots, a row for each destination."""
    if passed.first_skipped is None:
        return []
    destinations = await planning.destinations_of(session, [row])
    return [
        planning.NewDelivery(
            project_id=row.project_id,
            id=new_id(),
            notification_id=row.id,
            revision=row.revision,
            destination_id=destination_id,
            scheduled_for=passed.first_skipped,
            expires_at=None,
            message_id=message_id(row.id, destination_id, passed.first_skipped),
            status=Status.SKIPPED,
            reason=Reason.PAUSED,
            slot_count=passed.skipped,
            range_end=passed.resumed_at if passed.skipped > 1 else None,
        )
        for destination_id in destinations[row.project_id, row.id]
    ]
