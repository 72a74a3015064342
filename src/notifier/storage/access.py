"""Projects and API keys."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, case, func, select, update
from sqlalchemy.dialects.postgresql import insert

from notifier.clock import new_id
from notifier.storage.engine import Session
from notifier.storage.lookups import Lookup
from notifier.storage.paging import Page, fetch_page
from notifier.storage.tables import api_keys, projects

DEFAULT_PROJECT = UUID(int=0)
"""Id of the project that the first migration's bootstrap makes."""

BOOTSTRAP_KEY = "bootstrap"
ALL_SCOPES = ["read", "write", "admin"]


def hash_key(key: str) -> bytes:
    """Return what is stored of an API key. Keys are long and random, so a plain SHA-256 is enough."""
    return hashlib.sha256(key.encode()).digest()


async def ensure_default_project(session: Session) -> None:
    """Make the default project if it is not there."""
    statement = insert(projects).values(id=DEFAULT_PROJECT, name="default", mode="live")
    await session.execute(statement.on_conflict_do_nothing())


async def ensure_bootstrap_key(session: Session, key: str) -> None:
    """Make `key` the one bootstrap key of the default project; the one before it stops working.

    One that was revoked stays so: only another key opens the door again.
    """
    statement = insert(api_keys).values(
        project_id=DEFAULT_PROJECT, id=new_id(), name=BOOTSTRAP_KEY, key_hash=hash_key(key), scopes=ALL_SCOPES
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[api_keys.c.project_id, api_keys.c.name],
            set_={
                "key_hash": statement.excluded.key_hash,
                "revoked_at": case(
                    (api_keys.c.key_hash == statement.excluded.key_hash, api_keys.c.revoked_at), else_=None
                ),
            },
        )
    )


KEY = (
    api_keys.c.project_id,
    api_keys.c.id,
    api_keys.c.name,
    api_keys.c.scopes,
    api_keys.c.revoked_at,
    api_keys.c.created_at,
)


FIND_KEY = Lookup(
    api_keys,
    ("key_hash",),
    select(
        api_keys.c.project_id,
        api_keys.c.name,
        api_keys.c.scopes,
        projects.c.clock_at,
        func.now().label("now"),
    ).where(projects.c.id == api_keys.c.project_id, api_keys.c.revoked_at.is_(None)),
)


async def find_key(session: Session, key: str) -> Row[Any] | None:
    """Return project_id, name and scopes of a valid key, and what its project's clock says; or None.

    `clock_at` is None for a live project, which goes by the database's `now`.
    """
    return await FIND_KEY(session, hash_key(key))


async def add_project(session: Session, values: Mapping[str, Any]) -> Row[Any]:
    """Store a project and return it; a test project's clock begins at `clock_at`."""
    return (await session.execute(insert(projects).values(**values).returning(projects))).one()


async def project(session: Session, project_id: UUID, *, lock: bool = False) -> Row[Any]:
    """Return one project, locked for a change if asked."""
    statement = select(projects).where(projects.c.id == project_id)
    statement = statement.with_for_update(key_share=True) if lock else statement
    return (await session.execute(statement)).one()


async def rename_project(session: Session, project_id: UUID, name: str) -> Row[Any]:
    """Give a project another name and return it."""
    statement = update(projects).where(projects.c.id == project_id).values(name=name).returning(projects)
    return (await session.execute(statement)).one()


async def projects_page(session: Session, *, after: UUID | None, limit: int) -> Page:
    """Return a page of all projects, newest first."""
    return await fetch_page(session, select(projects), key=projects.c.id, after=after, limit=limit)


async def add_key(session: Session, values: Mapping[str, Any], key: str) -> Row[Any] | None:
    """Store an API key and return it, or None if the project has one with this name."""
    statement = (
        insert(api_keys)
        .values(**values, key_hash=hash_key(key))
        .on_conflict_do_nothing(index_elements=[api_keys.c.project_id, api_keys.c.name])
    )
    return (await session.execute(statement.returning(*KEY))).one_or_none()


async def keys_page(session: Session, project_id: UUID, *, after: UUID | None, limit: int) -> Page:
    """Return a page of the project's keys, newest first, the revoked ones too."""
    statement = select(*KEY).where(api_keys.c.project_id == project_id)
    return await fetch_page(session, statement, key=api_keys.c.id, after=after, limit=limit)


async def lock_admin_keys(session: Session, project_id: UUID) -> set[UUID]:
    """Return the ids of the project's admin keys that still open it, locked until the commit."""
    statement = (
        select(api_keys.c.id)
        .where(api_keys.c.project_id == project_id, api_keys.c.revoked_at.is_(None))
        .where(api_keys.c.scopes.contains(["admin"]))
        .order_by(api_keys.c.id)
        .with_for_update()
    )
    return set((await session.execute(statement)).scalars())


async def revoke_key(session: Session, project_id: UUID, key_id: UUID) -> bool:
    """Let a key open nothing any more; return whether there was such a key."""
    statement = (
        update(api_keys)
        .where(api_keys.c.project_id == project_id, api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )
    return bool((await session.execute(statement)).rowcount)


async def move_clock(session: Session, project_id: UUID, *, seen: datetime, to: datetime) -> bool:
    """Set a test project's clock if it still stands where it was `seen`; return whether it did."""
    statement = (
        update(projects)
        .where(projects.c.id == project_id, projects.c.mode == "test", projects.c.clock_at == seen)
        .values(clock_at=to)
    )
    return bool((await session.execute(statement)).rowcount)
