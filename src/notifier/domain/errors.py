"""Every error a caller can cause, without a word of HTTP.

NotifierError
├── InvalidInput          one or more fields are wrong (carries FieldProblem rows)
├── NotFound              no such thing in the caller's project
├── Conflict              the state of the thing forbids the request
│   └── DuplicateExternalId
├── PreconditionFailed    If-Match names another revision
├── Unauthenticated       no valid API key
├── Forbidden             the key lacks the scope
├── IdempotencyMismatch   the Idempotency-Key was used for another request
└── IdempotencyInProgress the first request with that key has not finished
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST_TOLD = 20
"""Wrong fields that the detail of an error names; the others are counted."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One wrong field: a JSON Pointer into the request body, a stable code, a sentence for people."""

    pointer: str
    code: str
    detail: str


class NotifierError(Exception):
    """Base of all errors that a caller can cause; `detail` is safe to show."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidInput(NotifierError):
    """One or more fields are wrong."""

    def __init__(self, problems: list[FieldProblem]) -> None:
        super().__init__(_told(problems))
        self.problems = problems

    @classmethod
    def at(cls, pointer: str, code: str, detail: str) -> "InvalidInput":
        """Return the error for a single wrong field."""
        return cls([FieldProblem(pointer, code, detail)])

    def under(self, prefix: str) -> "InvalidInput":
        """Return the same error with `prefix` put before every pointer."""
        return InvalidInput([FieldProblem(prefix + p.pointer, p.code, p.detail) for p in self.problems])


class NotFound(NotifierError):
    """No such thing in the caller's project."""


class Conflict(NotifierError):
    """The state of the thing forbids the request."""


class DuplicateExternalId(Conflict):
    """Another notification of the project has this external id."""


class PreconditionFailed(NotifierError):
    """If-Match names another revision than the stored one."""


class Unauthenticated(NotifierError):
    """No valid API key came with the request."""


class Forbidden(NotifierError):
    """The API key lacks the scope."""


class IdempotencyMismatch(NotifierError):
    """The Idempotency-Key was used before for a different request."""


class IdempotencyInProgress(NotifierError):
    """The first request with this Idempotency-Key has not finished."""


def pointer(steps: Iterable[object]) -> str:
    """Return the JSON Pointer (RFC 6901) of a place, safe to print."""
    escaped = (str(step).replace("~", "~0").replace("/", "~1") for step in steps)
    return "".join(f"/{step}" for step in escaped).encode("utf-8", "backslashreplace").decode()


def _told(problems: Sequence[FieldProblem]) -> str:
    """Return as one sentence what is wrong with which fields; only its end has a full stop."""
    told = [f"{p.pointer[1:]}: {p.detail}" if p.pointer else p.detail for p in problems[:MOST_TOLD]]
    if len(problems) > MOST_TOLD:
        told.append(f"and {len(problems) - MOST_TOLD} more.")
    return "; ".join([*(one.removesuffix(".") for one in told[:-1]), *told[-1:]])
