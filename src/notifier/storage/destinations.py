"""Stored targets."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select, update

from notifier.storage.engine import Session
from notifier.storage.paging import Page, fetch_page
from notifier.storage.tables import (
    clock_now,
    destinations,
    notification_destinations,
    notifications,
)

READ = (
    destinations.c.project_id,
    destinations.c.id,
    destinations.c.kind,
    destinations.c.name,
    destinations.c.config,
    destinations.c.fingerprint,
    (func.cardinality(destinations.c.secrets) > 0).label("secret_set"),
    destinations.c.retry_schedule,
    destinations.c.on_unknown,
    destinations.c.failing_since,
    destinations.c.blocked_at,
    destinations.c.blocked_reason,
    destinations.c.revision,
    destinations.c.created_at,
    destinations.c.updated_at,
)
ALIVE = destinations.c.deleted_at.is_(None)


async def add(session: Session, values: Mapping[str, Any]) -> Row[Any]:
    """Store a new destination and return it."""
    statement = insert(destinations).values(**values, updated_at=clock_now()).returning(*READ)
    return (await session.execute(statement)).one()


async def get(
    session: Session, project_id: UUID, destination_id: UUID, *, lock: bool = False
) -> Row[Any] | None:
    """Return one destination of the project, locked for a change if asked."""
    statement = select(*READ).where(
        destinations.c.project_id == project_id, destinations.c.id == destination_id, ALIVE
    )
    return (await session.execute(statement.with_for_update() if lock else statement)).one_or_none()


async def secrets_of(session: Session, project_id: UUID, destination_id: UUID) -> list[bytes]:
    """Return the encrypted signing secrets, newest first."""
    statement = select(destinations.c.secrets).where(
        destinations.c.project_id == project_id, destinations.c.id == destination_id
    )
    return list((await session.execute(statement)).scalar_one())


async def page(
    session: Session, project_id: UUID, *, kind: str | None, after: UUID | None, limit: int
) -> Page:
    """Return a page of the project's destinations, newest first."""
    statement = select(*READ).where(destinations.c.project_id == project_id, ALIVE)
    if kind is not None:
        statement = statement.where(destinations.c.kind == kind)
    return await fetch_page(session, statement, key=destinations.c.id, after=after, limit=limit)


async def change(
    session: Session, project_id: UUID, destination_id: UUID, values: Mapping[str, Any]
) -> Row[Any]:
    """Write `values`, count the revision up, return the destination."""
    statement = (
        update(destinations)
        .where(destinations.c.project_id == project_id, destinations.c.id == destination_id)
        .values(**values, revision=destinations.c.revision + 1, updated_at=clock_now())
        .returning(*READ)
    )
    return (await session.execute(statement)).one()


async def count_users(session: Session, project_id: UUID, destination_id: UUID) -> int:
    """Return how many notifications (not deleted) send to this destination."""
    uses = notification_destinations
    statement = (
        select(func.count())
        .select_from(uses)
        .join(
            notifications,
            (notifications.c.project_id == uses.c.project_id)
            & (notifications.c.id == uses.c.notification_id),
        )
        .where(
            uses.c.project_id == project_id,
            uses.c.destination_id == destination_id,
            notifications.c.deleted_at.is_(None),
        )
    )
    return int((await session.execute(statement)).scalar_one())
