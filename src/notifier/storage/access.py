"""Projects and API keys."""

import hashlib
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select
from sqlalchemy.dialects.postgresql import insert

from notifier.clock import new_id
from notifier.storage.engine import Session
from notifier.storage.tables import api_keys, clock_now, projects

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
    """Make `key` the one bootstrap key of the default project; the one before it stops working."""
    statement = insert(api_keys).values(
        project_id=DEFAULT_PROJECT, id=new_id(), name=BOOTSTRAP_KEY, key_hash=hash_key(key), scopes=ALL_SCOPES
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[api_keys.c.project_id, api_keys.c.name],
            set_={"key_hash": statement.excluded.key_hash},
        )
    )


async def find_key(session: Session, key: str) -> Row[Any] | None:
    """Return project_id, name and scopes of a valid key, and the database's `now`; or None."""
    columns = (api_keys.c.project_id, api_keys.c.name, api_keys.c.scopes, clock_now().label("now"))
    statement = select(*columns).where(api_keys.c.key_hash == hash_key(key), api_keys.c.revoked_at.is_(None))
    return (await session.execute(statement)).one_or_none()
