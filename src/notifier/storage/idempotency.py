"""Answers kept under an Idempotency-Key, so that a repeated POST does its work once."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert

from notifier.storage.engine import Session
from notifier.storage.tables import idempotency_keys


async def begin(session: Session, project_id: UUID, key: str, fingerprint: bytes) -> Row[Any] | None:
    """Take the key for this request and return None, or return what an earlier request left.

    A request with the same key that is under way holds the row: this call waits for its end.
    """
    statement = insert(idempotency_keys).values(project_id=project_id, key=key, fingerprint=fingerprint)
    taken = await session.execute(statement.on_conflict_do_nothing().returning(idempotency_keys.c.key))
    if taken.one_or_none() is not None:
        return None
    earlier = select(idempotency_keys).where(
        idempotency_keys.c.project_id == project_id, idempotency_keys.c.key == key
    )
    return (await session.execute(earlier)).one()


async def keep(session: Session, project_id: UUID, key: str, answer: bytes) -> None:
    """Store the answer of the request that took the key."""
    statement = (
        update(idempotency_keys)
        .where(idempotency_keys.c.project_id == project_id, idempotency_keys.c.key == key)
        .values(answer=answer)
    )
    await session.execute(statement)
