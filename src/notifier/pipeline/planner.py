"""The sweep's first half: write the slots of due notifications into the ledger, then ring for them."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row

from notifier.clock import new_id
from notifier.domain import schedule
from notifier.domain.delivery import Reason, Status, message_id
from notifier.jobs import Job, Queue
from notifier.storage import planning
from notifier.storage.engine import Database, Session
from notifier.storage.planning import Move, NewDelivery

log = structlog.get_logger(__name__)

SCHEDULER = "scheduler"
MOST_MISSED_RECORDED = 100
UNPLANNABLE_DELAY = timedelta(hours=1)
FIRST_RING = 1


@dataclass(slots=True)
class Plan:
    """What one batch will write. `destinations` is by (project id, notification id)."""

    destinations: dict[tuple[UUID, UUID], list[UUID]]
    deliveries: list[NewDelivery] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)


async def sweep(database: Database, queue: Queue, *, batch: int) -> int:
    """Plan all that is due, a transaction per batch; return the number of notifications planned.

    Any number of sweeps may run at once: each takes rows that no other holds.
    """
    planned = 0
    while True:
        async with database.transaction() as session:
            taken = await _plan_batch(session, queue, batch)
        planned += taken
        if taken < batch:
            return planned


async def _plan_batch(session: Session, queue: Queue, batch: int) -> int:
    """Plan up to `batch` notifications; the ring follows the commit, so no job precedes its row."""
    rows = await planning.take_due(session, batch)
    plan = Plan(await planning.destinations_of(session, rows))
    for row in rows:
        _plan_row(row, plan)
    written = await planning.add_slots(session, plan.deliveries)
    await planning.move_on(session, plan.moves)
    await planning.beat(session, SCHEDULER)
    if written:
        jobs = [Job(project_id, delivery_id, FIRST_RING) for project_id, delivery_id in written]
        session.after_commit(lambda: queue.ring(jobs))
    return len(rows)


def _plan_row(row: Row[Any], plan: Plan) -> None:
    """Add one notification to the plan; one that cannot be planned must not stop the others."""
    try:
        _plan_slots(row, plan)
    except Exception:
        log.exception("notification.unplannable", notification_id=str(row.id))
        _put_off(row, plan)


def _plan_slots(row: Row[Any], plan: Plan) -> None:
    """Send the newest of the slots that have come due; the older ones were missed."""
    rule = schedule.parse(row.schedule)
    due = schedule.missed(
        rule, first_due=row.next_due_at, now=row.now, anchor=row.anchor_at, keep=MOST_MISSED_RECORDED
    )
    next_due_at = schedule.next_slot(rule, after=due.latest, anchor=row.anchor_at)
    sent = _deliveries(row, plan, scheduled_for=due.latest, expires_at=next_due_at)
    for slot in due.older:
        gone = _deliveries(row, plan, scheduled_for=slot, expires_at=None)
        plan.deliveries += [replace(one, status=Status.MISSED, reason=Reason.COALESCED) for one in gone]
    plan.deliveries += sent
    plan.moves.append(Move(row.project_id, row.id, row.revision, due.latest, next_due_at))


def _put_off(row: Row[Any], plan: Plan) -> None:
    """Record the slot as failed and look at the notification again later."""
    failed = _deliveries(row, plan, scheduled_for=row.next_due_at, expires_at=None)
    plan.deliveries += [replace(one, status=Status.FAILED, reason=Reason.PLANNING_ERROR) for one in failed]
    later = row.now + UNPLANNABLE_DELAY
    plan.moves.append(Move(row.project_id, row.id, row.revision, row.next_due_at, later))


def _deliveries(
    row: Row[Any], plan: Plan, *, scheduled_for: datetime, expires_at: datetime | None
) -> list[NewDelivery]:
    """Return one pending delivery per destination."""
    return [
        NewDelivery(
            row.project_id,
            new_id(),
            row.id,
            row.revision,
            destination_id,
            scheduled_for,
            expires_at,
            message_id(row.id, destination_id, scheduled_for),
        )
        for destination_id in plan.destinations.get((row.project_id, row.id), [])
    ]
