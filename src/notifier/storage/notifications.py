"""Notifications and their revisions."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, delete, func, insert, literal, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from notifier.storage.engine import Session
from notifier.storage.paging import Page, fetch_page
from notifier.storage.tables import (
    clock_now,
    destinations,
    notification_destinations,
    notification_exceptions,
    notification_revisions,
    notifications,
)

CONTENT = ("title", "body", "data", "schedule")
ALIVE = notifications.c.deleted_at.is_(None)


def _destinations_of_row() -> ColumnElement[Any]:
    """Return the subquery that gives a notification's destinations as a JSON list, in their order."""
    uses = notification_destinations
    one = func.jsonb_build_object(
        "id", destinations.c.id, "kind", destinations.c.kind, "name", destinations.c.name
    )
    return (
        select(func.coalesce(func.jsonb_agg(_ordered(one, uses.c.position)), literal([], JSONB)))
        .select_from(uses)
        .join(
            destinations,
            (destinations.c.project_id == uses.c.project_id) & (destinations.c.id == uses.c.destination_id),
        )
        .where(uses.c.project_id == notifications.c.project_id, uses.c.notification_id == notifications.c.id)
        .scalar_subquery()
        .label("destinations")
    )


def _ordered(one: ColumnElement[Any], by: ColumnElement[Any]) -> ColumnElement[Any]:
    ordered: ColumnElement[Any] = aggregate_order_by(one, by)
    return ordered


def _select() -> Select[Any]:
    return select(notifications, _destinations_of_row()).where(ALIVE)


async def add(session: Session, values: Mapping[str, Any], *, changed_by: str) -> None:
    """Store a new notification and its first revision. Raises IntegrityError on a taken external id."""
    await session.execute(
        insert(notifications).values(**values, clock=session.clock.id, updated_at=clock_now())
    )
    await _record_revision(session, values["project_id"], values["id"], changed_by)


async def get(session: Session, project_id: UUID, notification_id: UUID) -> Row[Any] | None:
    """Return one notification of the project with its destinations."""
    statement = _select().where(
        notifications.c.project_id == project_id, notifications.c.id == notification_id
    )
    return (await session.execute(statement)).one_or_none()


async def lock(session: Session, project_id: UUID, notification_id: UUID) -> Row[Any] | None:
    """Return one notification, locked for a change until the commit."""
    statement = (
        select(notifications)
        .where(notifications.c.project_id == project_id, notifications.c.id == notification_id, ALIVE)
        .with_for_update()
    )
    return (await session.execute(statement)).one_or_none()


async def id_of_external(session: Session, project_id: UUID, external_id: str) -> UUID | None:
    """Return the id of the notification with this external id."""
    statement = select(notifications.c.id).where(
        notifications.c.project_id == project_id, notifications.c.external_id == external_id, ALIVE
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def lock_external_id(session: Session, project_id: UUID, external_id: str) -> None:
    """Have others who put under this external id wait until the commit."""
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 1))")
    await session.execute(lock, {"what": f"{project_id}/{external_id}"})


async def change(
    session: Session, project_id: UUID, notification_id: UUID, values: Mapping[str, Any], *, changed_by: str
) -> None:
    """Write `values` as the next revision."""
    statement = (
        update(notifications)
        .where(notifications.c.project_id == project_id, notifications.c.id == notification_id)
        .values(**values, revision=notifications.c.revision + 1, updated_at=clock_now())
    )
    await session.execute(statement)
    await _record_revision(session, project_id, notification_id, changed_by)


async def move(
    session: Session,
    project_id: UUID,
    notification_id: UUID,
    *,
    anchor_at: datetime,
    next_due_at: datetime | None,
) -> None:
    """Restart an interval's clock without making a revision."""
    statement = (
        update(notifications)
        .where(notifications.c.project_id == project_id, notifications.c.id == notification_id)
        .values(anchor_at=anchor_at, next_due_at=next_due_at)
    )
    await session.execute(statement)


async def set_destinations(
    session: Session, project_id: UUID, notification_id: UUID, ids: Sequence[UUID]
) -> None:
    """Make `ids`, in this order, the notification's destinations."""
    uses = notification_destinations
    await session.execute(
        delete(uses).where(uses.c.project_id == project_id, uses.c.notification_id == notification_id)
    )
    rows = [
        {"project_id": project_id, "notification_id": notification_id, "destination_id": one, "position": n}
        for n, one in enumerate(ids)
    ]
    await session.execute(insert(uses).values(rows))


async def erase(session: Session, project_id: UUID, notification_id: UUID) -> None:
    """Overwrite the content of a notification, its history and its exceptions; the ledger's rows stay."""
    nothing = {"title": "", "body": "", "data": {}}
    for table, key in ((notifications, "id"), (notification_revisions, "notification_id")):
        await session.execute(
            update(table)
            .where(table.c.project_id == project_id, table.c[key] == notification_id)
            .values(**nothing)
        )
    await session.execute(
        update(notification_exceptions)
        .where(
            notification_exceptions.c.project_id == project_id,
            notification_exceptions.c.notification_id == notification_id,
        )
        .values(title=None, body=None)
    )


async def page(
    session: Session, project_id: UUID, *, filters: Mapping[str, Any], after: UUID | None, limit: int
) -> Page:
    """Return a page of the project's notifications, newest first; see `_conditions` for the filters."""
    statement = _select().where(notifications.c.project_id == project_id, *_conditions(filters))
    return await fetch_page(session, statement, key=notifications.c.id, after=after, limit=limit)


def _conditions(filters: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    uses = notification_destinations
    makers: dict[str, Callable[[Any], ColumnElement[bool]]] = {
        "status": lambda v: notifications.c.status == v,
        "kind": lambda v: notifications.c.schedule["kind"].astext == v,
        "q": lambda v: notifications.c.title.icontains(v, autoescape=True),
        "due_before": lambda v: (notifications.c.next_due_at < v) & (notifications.c.status == "active"),
        "destination_id": lambda v: (
            select(literal(1))
            .where(
                uses.c.project_id == notifications.c.project_id,
                uses.c.notification_id == notifications.c.id,
                uses.c.destination_id == v,
            )
            .exists()
        ),
    }
    return [makers[name](value) for name, value in filters.items() if value is not None]


async def _record_revision(
    session: Session, project_id: UUID, notification_id: UUID, changed_by: str
) -> None:
    """Copy the notification's content as it now is into its history; deliveries pin these rows."""
    columns = ["project_id", "notification_id", "revision", *CONTENT, "changed_by"]
    now = select(
        notifications.c.project_id,
        notifications.c.id,
        notifications.c.revision,
        *(notifications.c[name] for name in CONTENT),
        literal(changed_by),
    ).where(notifications.c.project_id == project_id, notifications.c.id == notification_id)
    await session.execute(insert(notification_revisions).from_select(columns, now))
