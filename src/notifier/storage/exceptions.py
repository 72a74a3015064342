"""Exceptions to the rule of a notification, slot by slot."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, update

from notifier.storage.engine import Session
from notifier.storage.tables import clock_now
from notifier.storage.tables import notification_exceptions as exceptions

ALIVE = exceptions.c.deleted_at.is_(None)


async def add(session: Session, values: Mapping[str, Any]) -> Row[Any]:
    """Store an exception and return it."""
    statement = insert(exceptions).values(**values, clock=session.clock.id).returning(exceptions)
    return (await session.execute(statement)).one()


async def get(
    session: Session, project_id: UUID, notification_id: UUID, exception_id: UUID
) -> Row[Any] | None:
    """Return one exception of a notification."""
    statement = select(exceptions).where(
        exceptions.c.project_id == project_id,
        exceptions.c.notification_id == notification_id,
        exceptions.c.id == exception_id,
        ALIVE,
    )
    return (await session.execute(statement)).one_or_none()


async def coming(
    session: Session, project_id: UUID, notification_id: UUID, *, since: datetime
) -> Sequence[Row[Any]]:
    """Return the exceptions of slots from `since` (UTC) on, and of those still to come where they were moved.

    First slot first.
    """
    still_to_come = exceptions.c.move_to.is_not(None) & exceptions.c.planned_at.is_(None)
    statement = (
        select(exceptions)
        .where(exceptions.c.project_id == project_id, exceptions.c.notification_id == notification_id, ALIVE)
        .where((exceptions.c.slot_at >= since) | still_to_come)
        .order_by(exceptions.c.slot_at)
    )
    return (await session.execute(statement)).all()


async def remove(session: Session, project_id: UUID, exception_ids: Sequence[UUID]) -> int:
    """Undo exceptions, unless the planner has taken up the moved slot; return how many were undone.

    The rows stay: a delivery may already pin their words.
    """
    statement = (
        update(exceptions)
        .where(exceptions.c.project_id == project_id, exceptions.c.id.in_(exception_ids))
        .where(exceptions.c.planned_at.is_(None), ALIVE)
        .values(deleted_at=clock_now())
    )
    return (await session.execute(statement)).rowcount
