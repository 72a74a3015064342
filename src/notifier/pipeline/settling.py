"""Before a notification's clock is set anew: what came due by the old one goes into the ledger."""

from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row

from notifier.domain import pause, schedule
from notifier.jobs import Job, Queue
from notifier.pipeline.holder import held_before
from notifier.pipeline.plans import Plan
from notifier.storage import notifications, pauses, planning
from notifier.storage.engine import Session
from notifier.storage.plan_rows import Due, as_due
from notifier.storage.tables import LIVE

log = structlog.get_logger(__name__)

FIRST_RING = 1


async def settle(
    session: Session,
    project_id: UUID,
    notification_id: UUID,
    *,
    queue: Queue,
    hold_after: float | None = None,
) -> None:
    """Plan what has come due of a locked notification, and what no sweep has seen yet.

    While it is paused, the slots that passed are skipped. After `hold_after` seconds without a scheduler they
    are held, as the scheduler holds them.
    """
    row = await notifications.as_due(session, project_id, notification_id)
    if row.status == "active":
        await _plan(session, as_due(row), queue, await held_before(session, hold_after))
    else:
        await _skip(session, row)


async def _plan(session: Session, row: Due, queue: Queue, hold_before: datetime | None) -> None:
    plan = Plan(
        await planning.destinations_of(session, [row]),
        await planning.exceptions_of(session, [row]),
        hold_before,
    )
    try:
        plan.add_due(row)
    except Exception:
        # the old schedule is broken, which the edit may be about to mend
        log.exception("notification.unplannable", notification_id=str(row.id))
        plan.put_off(row)
    written = await planning.add_slots(session, plan.deliveries)
    await planning.move_on(session, plan.moves)
    jobs = [Job(*ids, FIRST_RING) for ids in written]
    if jobs and session.clock.id == LIVE:
        session.after_commit(lambda: queue.ring(jobs))


async def _skip(session: Session, row: Row[Any]) -> None:
    passed = pause.resume(
        schedule.parse_text(row.schedule), at=row.now, anchor_at=row.anchor_at, next_due_at=row.next_due_at
    )
    await pauses.skip(session, row, passed)
