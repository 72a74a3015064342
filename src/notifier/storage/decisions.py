"""What people decide about deliveries that are held or `unknown`: many at a time, in bounded batches."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Exists, Row, Select, exists, func, select, update

from notifier.domain.delivery import Decision, Reason, Status
from notifier.storage.deliveries import conditions, has_status
from notifier.storage.engine import Session
from notifier.storage.tables import clock_now, deliveries, destinations, notifications
from notifier.storage.waiting import BATCH

ANY_TIME: Mapping[str, Any] = {"start_by": None, "expires_at": None}
"""Slots may have begun since: none ends what is sent now."""

DECIDED: Mapping[Decision, Mapping[str, Any]] = {
    Decision.DELIVERED: {
        "status": Status.DELIVERED,
        "reason": Reason.DECIDED,
        "finished_at": clock_now(),
    },
    Decision.FAILED: {"status": Status.FAILED, "reason": Reason.DECIDED, "finished_at": clock_now()},
    Decision.RETRY: {
        "status": Status.RETRYING,
        "next_attempt_at": clock_now(),
        "enqueued_at": clock_now(),
        "enqueue_seq": deliveries.c.enqueue_seq + 1,
        "unknown_streak": 0,
        **ANY_TIME,
    },
}
"""What a decision about an `unknown` delivery writes."""

RELEASED: Mapping[str, Any] = {
    "status": Status.PENDING,
    "reason": None,
    "next_attempt_at": clock_now(),
    **ANY_TIME,
}
SKIPPED: Mapping[str, Any] = {
    "status": Status.SKIPPED,
    "reason": func.coalesce(deliveries.c.reason, Reason.DECIDED),
    "finished_at": clock_now(),
}


async def decide_held(
    session: Session, project_id: UUID, *, release: bool, filters: Mapping[str, Any]
) -> int:
    """Send what is held, unless its destination is still blocked, or skip it; return how many."""
    chosen = _of_status(project_id, Status.HELD, filters)
    if release:
        chosen = chosen.where(_target().where(destinations.c.blocked_at.is_(None)))
    changed = _change(session, project_id, chosen, RELEASED if release else SKIPPED)
    return sum([len(rows) async for rows in changed])


async def decide_unknown(
    session: Session, project_id: UUID, decision: Decision, *, filters: Mapping[str, Any]
) -> Sequence[Row[Any]]:
    """Write what a person makes of `unknown` deliveries; return the ids and ring numbers of these.

    What goes to something deleted cannot be sent again and stays.
    """
    chosen = _of_status(project_id, Status.UNKNOWN, filters)
    if decision is Decision.RETRY:
        chosen = chosen.where(_both_ends_exist())
    changed = _change(session, project_id, chosen, DECIDED[decision])
    return [row async for rows in changed for row in rows]


def _of_status(project_id: UUID, status: Status, filters: Mapping[str, Any]) -> Select[tuple[UUID]]:
    ours = deliveries.c.project_id == project_id
    return select(deliveries.c.id).where(ours, has_status(status), *conditions(filters))


async def _change(
    session: Session, project_id: UUID, chosen: Select[tuple[UUID]], values: Mapping[str, Any]
) -> AsyncIterator[Sequence[Row[Any]]]:
    """Write the values to what is chosen, locked in one order; yield ids and ring numbers of each batch."""
    d = deliveries.c
    batch = chosen.order_by(d.id).limit(BATCH).with_for_update(of=deliveries)
    change = update(deliveries).values(**values).returning(d.id, d.enqueue_seq)
    after = UUID(int=0)
    while ids := (await session.execute(batch.where(d.id > after))).scalars().all():
        after = ids[-1]
        yield (await session.execute(change.where(d.project_id == project_id, d.id.in_(ids)))).all()


def _both_ends_exist() -> ColumnElement[bool]:
    d, n = deliveries.c, notifications.c
    deleted = (n.project_id == d.project_id) & (n.id == d.notification_id) & n.deleted_at.is_not(None)
    return ~exists().where(deleted) & _target().where(destinations.c.deleted_at.is_(None))


def _target() -> Exists:
    """Return what tells that a delivery's destination is there."""
    d, t = deliveries.c, destinations.c
    return exists().where(t.project_id == d.project_id, t.id == d.destination_id)
