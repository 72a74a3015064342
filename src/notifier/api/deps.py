"""What a route may ask for, as typed aliases."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Query, Request
from fastapi import params as declared
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from notifier.api.schemas.common import Limit, StorableText, read_cursor
from notifier.domain import wording
from notifier.domain.errors import InvalidInput
from notifier.pipeline import settling
from notifier.runtime import Runtime
from notifier.services import access
from notifier.services.context import Caller, Context
from notifier.storage.engine import Clock, Session


class ApiKey(HTTPBearer):
    """The key that a call needs, in the OpenAPI document too."""

    def __init__(self) -> None:
        super().__init__(
            scheme_name="ApiKey",
            description="An API key; calls that change something need one with the scope `write`.",
            auto_error=False,
        )

    async def read(self, request: Request) -> str | None:
        """Return the key that came with a request."""
        credentials = await super().__call__(request)
        return credentials.credentials if credentials else None


# FastAPI runs what is not `async` on another thread, and takes as long for each dependency as for a small
# statement: so a route's context is a single one, which is its security scheme as well.


async def get_runtime(request: Request) -> Runtime:
    """Return what the process is wired with."""
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeDep = Annotated[Runtime, Depends(get_runtime)]


class _ReadContext(ApiKey):
    async def __call__(self, request: Request) -> Context:  # type: ignore[override] # FastAPI knows by class
        """Authenticate a caller who only reads."""
        runtime = await get_runtime(request)
        session = runtime.database.reading()
        return _context(runtime, session, *await _authenticate(session, await self.read(request), "read"))


class _WriteContext(ApiKey):
    def __init__(self, scope: str) -> None:
        super().__init__()
        self._scope = scope

    async def __call__(self, request: Request) -> AsyncIterator[Context]:  # type: ignore[override]
        """Authenticate a caller, and give the request its one transaction."""
        runtime = await get_runtime(request)
        # before, not within: many callers are authenticated at once, and a wrong key costs no transaction
        door = runtime.database.reading()
        caller, now = await _authenticate(door, await self.read(request), self._scope)
        # the request counts as one instant, in SQL too
        async with runtime.database.deferred(Clock(door.clock.id, now)) as session:
            yield _context(runtime, session, caller, now)


async def _authenticate(session: Session, key: str | None, scope: str) -> tuple[Caller, datetime]:
    caller, now = await access.authenticate(session, key)
    access.require(caller, scope)
    return caller, now


def _context(runtime: Runtime, session: Session, caller: Caller, now: datetime) -> Context:
    settle = partial(settling.settle, queue=runtime.queue, hold_after=runtime.settings.hold_after)
    return Context(session, caller, now, runtime.channels, runtime.queue, runtime.cipher, settle)


# The function scope commits before the answer leaves: else a failed commit would still answer 200.
Reader = Annotated[Context, Depends(_ReadContext(), scope="function")]
Writer = Annotated[Context, Depends(_WriteContext("write"), scope="function")]
Admin = Annotated[Context, Depends(_WriteContext("admin"), scope="function")]


async def refuse_unknown_parameters(request: Request) -> None:
    """Raise InvalidInput for each query parameter that the route does not declare.

    A misspelt filter that is passed over would answer with rows that nobody asked for.
    """
    known = _known(request.scope["route"])
    unknown = dict.fromkeys(name for name in request.query_params if name not in known)
    if unknown:
        raise InvalidInput(list(wording.unknown(unknown, known, "unknown_parameter")))


_KNOWN: dict[Callable[..., object], list[str]] = {}
"""Names of query parameters by the function that answers: found once, for that takes a while."""


def _known(route: APIRoute) -> list[str]:
    if route.endpoint not in _KNOWN:
        every = get_flat_params(route.dependant)
        _KNOWN[route.endpoint] = [one.alias for one in every if isinstance(one.field_info, declared.Query)]
    return _KNOWN[route.endpoint]


KnownParameters = Depends(refuse_unknown_parameters)


@dataclass(frozen=True, slots=True)
class Paging:
    """Where a page begins, and how long it is."""

    after: UUID | None
    limit: int


async def _paging(
    _known: Annotated[None, KnownParameters],
    cursor: Annotated[
        StorableText | None, Query(max_length=100, description="`next_cursor` of the page before.")
    ] = None,
    limit: Limit = 50,
) -> Paging:
    """Return cursor and limit of a list call, whose filters all have to be known ones."""
    return Paging(read_cursor(cursor), limit)


PagingDep = Annotated[Paging, Depends(_paging)]


async def if_match(
    value: Annotated[
        str | None,
        Header(
            alias="If-Match", description="The `ETag` of the state you know; 412 if it is another by now."
        ),
    ] = None,
) -> int | None:
    """Return the revision that the caller expects, None if any will do."""
    if value is None or value.strip() == "*":
        return None
    # behind the revision an ETag may name the rest of what was read
    digits = value.strip().removeprefix("W/").strip('"').partition("-")[0]
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise InvalidInput.at("/If-Match", "invalid_etag", "This takes the ETag of an earlier answer.")
    return int(digits)


IfMatch = Annotated[int | None, Depends(if_match)]


def etag(revision: int) -> dict[str, str]:
    """Return the header that names a revision."""
    return {"ETag": f'"{revision}"'}
