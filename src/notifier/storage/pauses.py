"""The end of a pause, as rows: the passed slots become one range, the notification goes on."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text

from notifier.clock import new_id
from notifier.domain.delivery import Reason, Status, message_id
from notifier.domain.pause import Resumption
from notifier.storage import notifications, planning
from notifier.storage.engine import Session
from notifier.storage.plan_rows import NewDelivery

OVER = text("""
SELECT project_id, id, revision, schedule::text AS schedule, anchor_at, next_due_at, slots_sent, paused_until
FROM notifications
WHERE clock = :clock AND status = 'paused' AND paused_until <= clock_now()
ORDER BY paused_until
LIMIT :batch
FOR UPDATE SKIP LOCKED
""")

PUT_OFF = text("""
UPDATE notifications SET paused_until = clock_now() + interval '1 hour'
WHERE project_id = :project_id AND id = :id
""")

# Slots that were moved to an instant within the pause passed, too.
PASS_MOVED = text("""
UPDATE notification_exceptions SET planned_at = clock_now()
WHERE project_id = :project_id AND notification_id = :id AND planned_at IS NULL AND deleted_at IS NULL
  AND move_to <= :at
RETURNING id, move_to
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


async def put_off(session: Session, row: Row[Any]) -> None:
    """Have a pause that cannot be ended last for another hour."""
    await session.execute(PUT_OFF, {"project_id": row.project_id, "id": row.id})


async def end(session: Session, row: Row[Any], resumption: Resumption, *, changed_by: str) -> None:
    """Write the end of a pause as the next revision, and the slots that passed as one range."""
    await skip(session, row, resumption)
    values = {
        **UNPAUSED,
        "anchor_at": resumption.anchor_at,
        "next_due_at": resumption.next_due_at,
        "completed_at": resumption.resumed_at if resumption.next_due_at is None else None,
    }
    await notifications.change(session, row.project_id, row.id, values, changed_by=changed_by)


async def skip(session: Session, row: Row[Any], passed: Resumption) -> None:
    """Write the slots that passed in a pause as one range."""
    await planning.add_slots(session, await _skipped(session, row, passed))


async def _skipped(session: Session, row: Row[Any], passed: Resumption) -> list[NewDelivery]:
    """Return the slots that passed, a row of each for each destination."""
    key = {"project_id": row.project_id, "id": row.id}
    moved = (await session.execute(PASS_MOVED, {**key, "at": passed.resumed_at})).all()
    slots: list[tuple[datetime, dict[str, Any]]] = [(x.move_to, {"exception_id": x.id}) for x in moved]
    if passed.first_skipped is not None:
        range_end = passed.skipped_before if passed.skipped > 1 else None
        slots.append((passed.first_skipped, {"slot_count": passed.skipped, "range_end": range_end}))
    if not slots:
        return []
    destinations = await planning.destinations_of(session, [row])
    return [
        NewDelivery(
            project_id=row.project_id,
            id=new_id(),
            notification_id=row.id,
            revision=row.revision,
            destination_id=destination_id,
            scheduled_for=slot,
            message_id=message_id(row.id, destination_id, slot),
            status=Status.SKIPPED,
            reason=Reason.PAUSED,
            **more,
        )
        for slot, more in slots
        for destination_id in destinations.get((row.project_id, row.id), [])
    ]
