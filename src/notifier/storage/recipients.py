"""Destinations as notifications name them: found by id or by what they hold, for many at once."""

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Row, Text, Uuid, bindparam, insert, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from notifier.storage.engine import Session
from notifier.storage.lookups import Lookup
from notifier.storage.tables import clock_now, destinations

LOCKS = 128
"""How many locks keep the makers of new destinations of a project apart: the server's table of locks is
small, and a thousand new addresses may come with one request."""

SHOWN = (destinations.c.id, destinations.c.kind, destinations.c.name, destinations.c.fingerprint)

# Locked, so that none is deleted meanwhile; in one order, so that no two callers wait for each other.
FIND = (
    select(*SHOWN)
    .where(
        destinations.c.project_id == bindparam("project_id"),
        or_(
            destinations.c.id == bindparam("ids", type_=ARRAY(Uuid)).any_(),
            destinations.c.fingerprint == bindparam("fingerprints", type_=ARRAY(Text)).any_(),
        ),
        destinations.c.deleted_at.is_(None),
    )
    .order_by(destinations.c.id)
    .with_for_update(read=True)
)

THERE = select(*SHOWN).where(destinations.c.deleted_at.is_(None)).order_by(destinations.c.id)
BY_ID = Lookup(destinations, ("project_id", "id"), THERE)
BY_FINGERPRINT = Lookup(destinations, ("project_id", "fingerprint"), THERE)

# The subquery puts them in order before the first lock is waited for.
LOCK = text(
    "SELECT pg_advisory_xact_lock(hashtextextended(:project_id, 0) # one)"
    " FROM (SELECT one FROM unnest(:locks) AS one ORDER BY one) AS sorted"
).bindparams(bindparam("project_id", type_=Text), bindparam("locks", type_=ARRAY(BigInteger)))


async def find(
    session: Session, project_id: UUID, *, ids: Iterable[UUID] = (), fingerprints: Iterable[str] = ()
) -> Sequence[Row[Any]]:
    """Return id, kind, name and fingerprint of destinations with these ids or contents, oldest first.

    They are locked: none of them is deleted before the commit.
    """
    wanted = {"project_id": project_id, "ids": list(ids), "fingerprints": list(fingerprints)}
    return (await session.execute(FIND, wanted)).all()


async def peek(
    session: Session, project_id: UUID, *, ids: Iterable[UUID], fingerprints: Iterable[str]
) -> list[Row[Any]]:
    """Return what `find` does, as it is just now: nothing is locked."""
    by_id = await BY_ID.many(session, [(project_id, one) for one in ids])
    by_fingerprint = await BY_FINGERPRINT.many(session, [(project_id, one) for one in fingerprints])
    return [row for row in (*by_id, *by_fingerprint) if row is not None]


async def lock(session: Session, project_id: UUID, fingerprints: Collection[str]) -> None:
    """Keep others from adding destinations with this content until the commit.

    Whoever finds none then adds it alone. Always in the same order: no two callers wait for each other.
    """
    locks = {zlib.crc32(one.encode()) % LOCKS for one in fingerprints}
    await session.execute(LOCK, {"project_id": str(project_id), "locks": list(locks)})


async def add(session: Session, rows: Sequence[Mapping[str, Any]]) -> Sequence[Row[Any]]:
    """Store new destinations; return them as `find` does."""
    statement = insert(destinations).values(updated_at=clock_now()).returning(*SHOWN)
    return (await session.execute(statement, rows)).all()
