"""The ledger, as users see it. What the engine writes is in `planning`, `claims` and `rescue`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, case, func, insert, select, true, update

from notifier.domain.delivery import CLAIMABLE, Reason, Status
from notifier.storage.engine import Session
from notifier.storage.paging import Page, fetch_page
from notifier.storage.tables import (
    attempts,
    clock_now,
    deliveries,
    destinations,
    notification_exceptions,
    notification_revisions,
)

LATE_BY = func.extract("epoch", deliveries.c.first_attempt_at - deliveries.c.scheduled_for)
NEXT_ATTEMPT_AT = case((deliveries.c.status != Status.SENDING, deliveries.c.next_attempt_at))
"""While a try is under way, no next one is due."""

OPEN_ENDS = frozenset({Status.FAILED, Status.HELD, Status.UNKNOWN})
"""What people look for: the column `open_end` holds these."""

READ = (
    deliveries.c.project_id,
    deliveries.c.id,
    deliveries.c.notification_id,
    deliveries.c.exception_id,
    deliveries.c.destination_id,
    deliveries.c.scheduled_for,
    deliveries.c.trigger,
    deliveries.c.status,
    deliveries.c.reason,
    deliveries.c.attempts_made,
    NEXT_ATTEMPT_AT.label("next_attempt_at"),
    deliveries.c.finished_at,
    deliveries.c.message_id,
    deliveries.c.revision,
    deliveries.c.replay_of,
    deliveries.c.event["type"].astext.label("event"),
    deliveries.c.slot_count,
    deliveries.c.range_end,
    deliveries.c.created_at,
    LATE_BY.label("late_by_seconds"),
)


async def add(session: Session, rows: Sequence[Mapping[str, Any]]) -> list[Row[Any]]:
    """Store deliveries that are to be sent at once, and return them in the order given."""
    now = {
        "next_attempt_at": clock_now(),
        "enqueued_at": clock_now(),
        "status": Status.PENDING,
        "clock": session.clock.id,
    }
    statement = insert(deliveries).values([{**row, **now} for row in rows])
    await session.execute(statement)
    wanted = [row["id"] for row in rows]
    chosen = _chosen().where(deliveries.c.project_id == rows[0]["project_id"], deliveries.c.id.in_(wanted))
    stored = {row.id: row for row in await session.execute(_told(chosen))}
    return [stored[one] for one in wanted]


async def get(session: Session, project_id: UUID, delivery_id: UUID) -> Row[Any] | None:
    """Return one delivery of the project."""
    chosen = _chosen().where(deliveries.c.project_id == project_id, deliveries.c.id == delivery_id)
    return (await session.execute(_told(chosen))).one_or_none()


def _chosen() -> Select[Any]:
    return select(*READ)


def _told(chosen: Select[Any]) -> Select[Any]:
    """Return the rows of `chosen` with what they say, where they go, and how their newest attempt ended.

    Everything is looked up by key for the rows that were chosen, so `chosen` has to hold the limit.
    """
    one, words, slot, to = (
        chosen.subquery("chosen"),
        notification_revisions,
        notification_exceptions,
        destinations,
    )
    of_project = one.c.project_id
    newest = (
        select(attempts.c.error, attempts.c.status_code)
        .where(
            attempts.c.project_id == of_project,
            attempts.c.delivery_id == one.c.id,
            attempts.c.outcome.is_not(None),
        )
        .order_by(attempts.c.number.desc())
        .limit(1)
        .lateral("newest")
    )
    revision = (words.c.notification_id == one.c.notification_id) & (words.c.revision == one.c.revision)
    return (
        select(
            one,
            func.coalesce(slot.c.title, words.c.title).label("title"),
            func.jsonb_build_object("id", to.c.id, "kind", to.c.kind, "name", to.c.name).label("destination"),
            newest.c.error.label("last_error"),
            newest.c.status_code.label("last_status_code"),
        )
        .join(to, (to.c.project_id == of_project) & (to.c.id == one.c.destination_id))
        .outerjoin(words, (words.c.project_id == of_project) & revision)
        .outerjoin(slot, (slot.c.project_id == of_project) & (slot.c.id == one.c.exception_id))
        .outerjoin(newest, true())
        .order_by(one.c.id.desc())
    )


async def attempts_of(session: Session, project_id: UUID, delivery_id: UUID) -> Sequence[Row[Any]]:
    """Return the attempts of a delivery, first one first."""
    statement = (
        select(attempts)
        .where(attempts.c.project_id == project_id, attempts.c.delivery_id == delivery_id)
        .order_by(attempts.c.number)
    )
    return (await session.execute(statement)).all()


async def page(
    session: Session, project_id: UUID, *, filters: Mapping[str, Any], after: UUID | None, limit: int
) -> Page:
    """Return a page of the project's deliveries, newest first; see `conditions` for the filters."""
    chosen = _chosen().where(deliveries.c.project_id == project_id, *conditions(filters))
    return await fetch_page(session, chosen, key=deliveries.c.id, after=after, limit=limit, around=_told)


def conditions(filters: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """Return what the filters that have a value ask for."""
    makers: dict[str, Callable[[Any], ColumnElement[bool]]] = {
        "ids": deliveries.c.id.in_,
        "replay_of": lambda v: deliveries.c.replay_of == v,
        "notification_id": lambda v: deliveries.c.notification_id == v,
        "destination_id": lambda v: deliveries.c.destination_id == v,
        "status": has_status,
        "reason": lambda v: deliveries.c.reason == v,
        "since": lambda v: deliveries.c.scheduled_for >= v,
        "until": lambda v: deliveries.c.scheduled_for <= v,
    }
    return [makers[name](value) for name, value in filters.items() if value is not None]


def has_status(status: Status) -> ColumnElement[bool]:
    """Return what finds a status, by its index if there is one."""
    column = deliveries.c.open_end if status in OPEN_ENDS else deliveries.c.status
    return column == status


async def cancel_unstarted(session: Session, project_id: UUID, notification_id: UUID, reason: Reason) -> None:
    """Cancel what no worker holds at this moment; a message that is being sent right now still goes out."""
    canceled = {"status": Status.CANCELED, "reason": reason, "finished_at": clock_now()}
    waits = deliveries.c.next_attempt_at.is_not(None) & deliveries.c.status.in_(CLAIMABLE)
    # two statements, for each has an index of its own
    for which in (waits, has_status(Status.HELD)):
        statement = (
            update(deliveries)
            .where(
                deliveries.c.project_id == project_id,
                deliveries.c.notification_id == notification_id,
                deliveries.c.clock == session.clock.id,
                which,
            )
            .values(**canceled, next_attempt_at=None)
        )
        await session.execute(statement)
