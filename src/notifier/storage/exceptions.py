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


async def of_slot(
    session: Session, project_id: UUID, notification_id: UUID, slot: datetime
) -> Row[Any] | None:
    """Return the exception of one slot."""
    statement = select(exceptions).where(
        exceptions.c.project_id == project_id,
        exceptions.c.notification_id == notification_id,
        exceptions.c.slot_at == slot,
        ALIVE,
    )
    return (await session.execute(statement)).one_or_none()


async def of_notification(session: Session, project_id: UUID, notification_id: UUID) -> Sequence[Row[Any]]:
    """Return the exceptions of a notification, first slot first."""
    statement = (
        select(exceptions)
        .where(exceptions.c.project_id == project_id, exceptions.c.notification_id == notification_id, ALIVE)
        .order_by(exceptions.c.slot_at)
    )
    return (await session.execute(statement)).all()


async def remove(session: Session, project_id: UUID, exception_id: UUID) -> None:
    """Undo an exception. The row stays: a delivery may already pin its words."""
    statement = (
        update(exceptions)
        .where(exceptions.c.project_id == project_id, exceptions.c.id == exception_id)
        .values(deleted_at=clock_now())
    )
    await session.execute(statement)
