"""Notifications and their revisions."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Row,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from notifier.storage.engine import Session
from notifier.storage.lookups import Lookup
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
NONE = literal_column("CAST('[]' AS jsonb)", JSONB)
ALIVE = notifications.c.deleted_at.is_(None)
X = notification_exceptions


def _destinations_of_row() -> ColumnElement[Any]:
    """Return the subquery that gives a notification's destinations as a JSON list, in their order."""
    uses = notification_destinations
    one = _object(id=destinations.c.id, kind=destinations.c.kind, name=destinations.c.name)
    return (
        select(func.coalesce(func.jsonb_agg(_ordered(one, uses.c.position)), NONE))
        .select_from(uses)
        .join(
            destinations,
            (destinations.c.project_id == uses.c.project_id) & (destinations.c.id == uses.c.destination_id),
        )
        .where(uses.c.project_id == notifications.c.project_id, uses.c.notification_id == notifications.c.id)
        .scalar_subquery()
        .label("destinations")
    )


def _object(**fields: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a JSON object; its names stand in the statement itself, for parameters have to be sent."""
    parts: list[ColumnElement[Any]] = []
    for name, value in fields.items():
        parts += [literal_column(f"'{name}'"), value]
    return func.jsonb_build_object(*parts)


def _ordered(one: ColumnElement[Any], by: ColumnElement[Any]) -> ColumnElement[Any]:
    ordered: ColumnElement[Any] = aggregate_order_by(one, by)
    return ordered


def _exceptions_of_row() -> ColumnElement[Any]:
    """Return the subquery that gives the exceptions of a notification's coming slots as a JSON list."""
    waits = X.c.move_to.is_not(None) & X.c.planned_at.is_(None)
    one = _object(slot=X.c.slot_at, action=X.c.action, move_to=X.c.move_to, waits=waits)
    return (
        select(func.coalesce(func.jsonb_agg(one), NONE))
        .where(
            X.c.project_id == notifications.c.project_id,
            X.c.notification_id == notifications.c.id,
            X.c.deleted_at.is_(None),
            (X.c.slot_at >= notifications.c.next_due_at) | waits,
        )
        .scalar_subquery()
        .label("exceptions")
    )


# Made once: to make them anew for each request takes longer than to run them.
SHOWN = (notifications, _destinations_of_row(), _exceptions_of_row())
SELECT = select(*SHOWN).where(ALIVE, notifications.c.project_id == bindparam("of_project"))
GET = Lookup(notifications, ("project_id", "id"), select(*SHOWN).where(ALIVE))
GET_BY_EXTERNAL_ID = SELECT.where(notifications.c.external_id == bindparam("wanted"))


async def get(session: Session, project_id: UUID, notification_id: UUID) -> Row[Any] | None:
    """Return one notification of the project with its destinations and the exceptions of coming slots."""
    return await GET(session, project_id, notification_id)


async def get_by_external_id(session: Session, project_id: UUID, external_id: str) -> Row[Any] | None:
    """Return the notification with this external id, as `get` does."""
    wanted = {"of_project": project_id, "wanted": external_id}
    return (await session.execute(GET_BY_EXTERNAL_ID, wanted)).one_or_none()


async def deleted_at(session: Session, project_id: UUID, notification_id: UUID) -> datetime | None:
    """Return when (UTC) a notification that is gone was deleted, None if there never was one."""
    statement = select(notifications.c.deleted_at).where(
        notifications.c.project_id == project_id, notifications.c.id == notification_id
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def lock(
    session: Session, project_id: UUID, notification_id: UUID, *, deleted: bool = False
) -> Row[Any] | None:
    """Return one notification and the clock's `now`, locked for a change until the commit; or a tombstone."""
    statement = (
        select(notifications, clock_now().label("now"))
        .where(notifications.c.project_id == project_id, notifications.c.id == notification_id)
        .where(~ALIVE if deleted else ALIVE)
        .with_for_update()
    )
    return (await session.execute(statement)).one_or_none()


async def as_due(session: Session, project_id: UUID, notification_id: UUID) -> Row[Any]:
    """Return one notification as the planner takes it."""
    names = ("project_id", "id", "revision", "status", "anchor_at", "next_due_at", "slots_sent")
    statement = select(
        *(notifications.c[name] for name in names),
        cast(notifications.c.schedule, Text).label("schedule"),
        clock_now().label("now"),
    ).where(notifications.c.project_id == project_id, notifications.c.id == notification_id)
    return (await session.execute(statement)).one()


async def lock_by_external_id(session: Session, project_id: UUID, external_id: str) -> UUID | None:
    """Return the id of the notification with this external id, locked for a change until the commit."""
    statement = (
        select(notifications.c.id)
        .where(notifications.c.project_id == project_id, notifications.c.external_id == external_id, ALIVE)
        .with_for_update()
    )
    return (await session.execute(statement)).scalar_one_or_none()


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
    own = {"external_id": None, "pause_reason": None, "paused_by": None}
    erased: list[tuple[Table, str, dict[str, Any]]] = [
        (notifications, "id", nothing | own),
        (notification_revisions, "notification_id", nothing),
        (notification_exceptions, "notification_id", {"title": None, "body": None}),
    ]
    for table, key, values in erased:
        which = (table.c.project_id == project_id) & (table.c[key] == notification_id)
        await session.execute(update(table).where(which).values(**values))


async def page(
    session: Session, project_id: UUID, *, filters: Mapping[str, Any], after: UUID | None, limit: int
) -> Page:
    """Return a page of the project's notifications, newest first; see `_conditions` for the filters."""
    statement = SELECT.where(*_conditions(filters)).params(of_project=project_id)
    return await fetch_page(session, statement, key=notifications.c.id, after=after, limit=limit)


def _conditions(filters: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    uses = notification_destinations
    makers: dict[str, Callable[[Any], ColumnElement[bool]]] = {
        "status": lambda v: notifications.c.status == v,
        # in `coalesce`: a bare comparison inside JSON is thought to hold for hardly any, and then all rows
        # are read and sorted, instead of the first ones in the order of the list
        "kind": lambda v: func.coalesce(notifications.c.schedule["kind"].astext == v, False),
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
    last = (
        notification_revisions.c.project_id == project_id,
        notification_revisions.c.notification_id == notification_id,
        notification_revisions.c.replaced_at.is_(None),
    )
    await session.execute(update(notification_revisions).where(*last).values(replaced_at=clock_now()))
    columns = ["project_id", "notification_id", "revision", *CONTENT, "changed_by"]
    now = select(
        notifications.c.project_id,
        notifications.c.id,
        notifications.c.revision,
        *(notifications.c[name] for name in CONTENT),
        literal(changed_by),
    ).where(notifications.c.project_id == project_id, notifications.c.id == notification_id)
    await session.execute(insert(notification_revisions).from_select(columns, now))
