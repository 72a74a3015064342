"""Who may do what."""

from datetime import datetime

import structlog

from notifier.domain.errors import Conflict, Forbidden, Unauthenticated
from notifier.services.context import Caller
from notifier.storage import access
from notifier.storage.engine import Clock, Session
from notifier.storage.tables import LIVE

GRANTS = {"read": {"read", "write", "admin"}, "write": {"write", "admin"}, "admin": {"admin"}}
"""For each scope a call may need, the scopes of a key that suffice."""


async def authenticate(session: Session, key: str | None) -> tuple[Caller, datetime]:
    """Return the caller that `key` stands for, and what its project's clock says. Raises Unauthenticated.

    For a test project the session follows that clock from here on. Log lines say who asked from here on.
    """
    if not key:
        raise Unauthenticated("Send an API key: `Authorization: Bearer <key>`.")
    row = await access.find_key(session, key)
    if row is None:
        raise Unauthenticated("The API key is not valid.")
    structlog.contextvars.bind_contextvars(project_id=str(row.project_id), api_key=row.name)
    if row.clock_at is not None:
        await session.follow(Clock(row.project_id, row.clock_at))
    return Caller(row.project_id, row.name, frozenset(row.scopes)), row.clock_at or row.now


def require(caller: Caller, scope: str) -> None:
    """Raise Forbidden unless the caller's key suffices for `scope`."""
    if not GRANTS[scope] & caller.scopes:
        raise Forbidden(f"This call needs a key with the scope {scope!r}.")


def require_test_project(session: Session) -> None:
    """Raise Conflict if the authenticated caller's project lives by the real clock."""
    if session.clock.id == LIVE:
        raise Conflict("The clock of a live project cannot be moved; make a project with mode `test`.")
