"""Who asks, when, and what the answer is worked out with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifier.channels.registry import Registry
from notifier.domain.errors import NotFound, PreconditionFailed
from notifier.jobs import Queue
from notifier.storage.encryption import Cipher
from notifier.storage.engine import Session

Settle = Callable[[Session, UUID, UUID], Awaitable[None]]
"""Writes what has come due of a locked notification and no sweep has seen; the pipeline's own code."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The project that an API key belongs to, the key's name and what it may do."""

    project_id: UUID
    name: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Context:
    """One request: its transaction, its caller, the instant it counts as (UTC, the database's), its tools."""

    session: Session
    caller: Caller
    now: datetime
    channels: Registry
    queue: Queue
    cipher: Cipher
    settle: Settle

    @property
    def project_id(self) -> UUID:
        """The caller's project: every query is scoped by it."""
        return self.caller.project_id


def parse_id(text: str, what: str) -> UUID:
    """Return the id, or raise NotFound: to callers ids are opaque, so a malformed one names nothing."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"No {what} has the id {text!r}.") from None


def check_revision(expected: int | None, revision: int) -> None:
    """Raise PreconditionFailed if the caller expects another revision than the stored one."""
    if expected is not None and expected != revision:
        raise PreconditionFailed(f"It was changed meanwhile: its revision is {revision}, not {expected}.")
