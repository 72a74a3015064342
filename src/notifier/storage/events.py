"""Which destinations hear of which events. The events are written by triggers that the migrations make."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, insert, select

from notifier.storage.engine import Session
from notifier.storage.tables import event_subscriptions

_OF = event_subscriptions.c


async def subscriptions(session: Session, project_id: UUID) -> Sequence[Row[Any]]:
    """Return `destination_id` and `types` of each of the project's subscriptions, by destination."""
    statement = select(_OF.destination_id, _OF.types).where(_OF.project_id == project_id)
    return (await session.execute(statement.order_by(_OF.destination_id))).all()


async def subscribe(session: Session, project_id: UUID, wanted: Sequence[Mapping[str, Any]]) -> None:
    """Put these subscriptions in the place of the project's; the caller has locked the project."""
    await session.execute(delete(event_subscriptions).where(_OF.project_id == project_id))
    if wanted:
        rows = [{"project_id": project_id, **one} for one in wanted]
        await session.execute(insert(event_subscriptions).values(rows))


async def hears(session: Session, project_id: UUID, destination_id: UUID) -> bool:
    """Return whether a destination is sent events."""
    statement = select(_OF.types).where(_OF.project_id == project_id, _OF.destination_id == destination_id)
    return (await session.execute(statement)).first() is not None
