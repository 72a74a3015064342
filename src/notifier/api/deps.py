"""What a route may ask for, as typed aliases."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Annotated

from fastapi import Depends, Header, Query, Request
from fastapi import params as declared
from fastapi.dependencies.utils import get_flat_params
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from notifier.api.schemas.common import Limit, StorableText, escape, read_cursor
from notifier.domain.errors import FieldProblem, InvalidInput
from notifier.pipeline import settling
from notifier.runtime import Runtime
from notifier.services import access
from notifier.services.context import Context
from notifier.storage.engine import Session

bearer = HTTPBearer(
    scheme_name="ApiKey",
    description="An API key; calls that change something need one with the scope `write`.",
    auto_error=False,
)


def get_runtime(request: Request) -> Runtime:
    """Return what the process is wired with."""
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeDep = Annotated[Runtime, Depends(get_runtime)]


async def open_session(runtime: RuntimeDep) -> AsyncIterator[Session]:
    """Yield the request's one transaction."""
    async with runtime.database.transaction() as session:
        yield session


# The function scope commits before the answer leaves: else a failed commit would still answer 200.
SessionDep = Annotated[Session, Depends(open_session, scope="function")]


def _context(scope: str) -> Callable[..., Awaitable[Context]]:
    """Return the dependency that authenticates the caller for `scope`."""

    async def make(
        session: SessionDep,
        runtime: RuntimeDep,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    ) -> Context:
        key = credentials.credentials if credentials else None
        caller, now = await access.authenticate(session, key)
        access.require(caller, scope)
        settle = partial(settling.settle, queue=runtime.queue)
        return Context(session, caller, now, runtime.channels, runtime.queue, runtime.cipher, settle)

    return make


Reader = Annotated[Context, Depends(_context("read"), scope="function")]
Writer = Annotated[Context, Depends(_context("write"), scope="function")]
Admin = Annotated[Context, Depends(_context("admin"), scope="function")]


def refuse_unknown_parameters(request: Request) -> None:
    """Raise InvalidInput for each query parameter that the route does not declare.

    A misspelt filter that is passed over would answer with rows that nobody asked for.
    """
    every = get_flat_params(request.scope["route"].dependant)
    known = [one.alias for one in every if isinstance(one.field_info, declared.Query)]
    unknown = dict.fromkeys(name for name in request.query_params if name not in known)
    if unknown:
        raise InvalidInput([_unknown(name, known) for name in unknown])


def _unknown(name: str, known: Sequence[str]) -> FieldProblem:
    near = get_close_matches(name, known, n=1)
    hint = f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(known) or 'none'}."
    return FieldProblem(f"/{escape(name)}", "unknown_parameter", f"No such parameter here. {hint}")


KnownParameters = Depends(refuse_unknown_parameters)


class Paging:
    """Cursor and limit of a list call, whose filters all have to be known ones."""

    def __init__(
        self,
        _known: Annotated[None, KnownParameters],
        cursor: Annotated[
            StorableText | None, Query(max_length=100, description="`next_cursor` of the page before.")
        ] = None,
        limit: Limit = 50,
    ) -> None:
        self.after = read_cursor(cursor)
        self.limit = limit


PagingDep = Annotated[Paging, Depends()]


def if_match(
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
    digits = value.strip().removeprefix("W/").strip('"')
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise InvalidInput.at("/If-Match", "invalid_etag", "If-Match takes the ETag of an earlier answer.")
    return int(digits)


IfMatch = Annotated[int | None, Depends(if_match)]


def etag(revision: int) -> dict[str, str]:
    """Return the header that names a revision."""
    return {"ETag": f'"{revision}"'}
