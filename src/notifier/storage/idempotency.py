"""Answers kept under an Idempotency-Key, so that a repeated POST does its work once."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from notifier.domain.errors import IdempotencyInProgress
from notifier.storage.engine import Session
from notifier.storage.tables import idempotency_keys

PATIENCE = "2s"
"""How long a repetition waits for the first request: each that waits holds a connection."""

LOCK_NOT_AVAILABLE = "55P03"


async def begin(session: Session, project_id: UUID, key: str, fingerprint: bytes) -> Row[Any] | None:
    """Take the key for this request and return None, or return what an earlier request left.

    A request with the same key that is under way holds the row: this call waits for its end, and raises
    IdempotencyInProgress after two seconds.
    """
    if await _take(session, project_id, key, fingerprint):
        return None
    earlier = select(idempotency_keys).where(
        idempotency_keys.c.project_id == project_id, idempotency_keys.c.key == key
    )
    return (await session.execute(earlier)).one()


async def _take(session: Session, project_id: UUID, key: str, fingerprint: bytes) -> bool:
    """Return whether the key was free."""
    statement = insert(idempotency_keys).values(project_id=project_id, key=key, fingerprint=fingerprint)
    await session.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE}'"))
    try:
        taken = await session.execute(statement.on_conflict_do_nothing().returning(idempotency_keys.c.key))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        # the transaction is lost, and with it the setting
        detail = "The first request with this Idempotency-Key is under way; repeat this one in a few seconds."
        raise IdempotencyInProgress(detail) from error
    # back to what the connection was opened with
    await session.execute(text("SET LOCAL lock_timeout TO DEFAULT"))
    return taken.one_or_none() is not None


async def keep(session: Session, project_id: UUID, key: str, answer: bytes) -> None:
    """Store the answer of the request that took the key."""
    statement = (
        update(idempotency_keys)
        .where(idempotency_keys.c.project_id == project_id, idempotency_keys.c.key == key)
        .values(answer=answer)
    )
    await session.execute(statement)
