"""Every error becomes a problem document (RFC 9457); this is the only place where errors meet HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route

from notifier.domain import errors, wording
from notifier.domain.errors import FieldProblem
from notifier.storage.failures import is_away

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_SOON = {"Retry-After": "5"}

# error class -> status, name in the type, title
KINDS: dict[type[errors.NotifierError], tuple[int, str, str]] = {
    errors.InvalidInput: (422, "invalid-input", "Some of the input is wrong"),
    errors.NotFound: (404, "not-found", "No such thing"),
    errors.DuplicateExternalId: (409, "duplicate-external-id", "The external id is taken"),
    errors.IdempotencyInProgress: (409, "idempotency-in-progress", "The first request is still under way"),
    errors.Conflict: (409, "conflict", "Its state forbids this"),
    errors.PreconditionFailed: (412, "precondition-failed", "It was changed meanwhile"),
    errors.Unauthenticated: (401, "unauthenticated", "A valid API key is needed"),
    errors.Forbidden: (403, "forbidden", "The API key may not do this"),
    errors.IdempotencyMismatch: (422, "idempotency-mismatch", "The key was used for another request"),
}
UNREADABLE = (
    "The body cannot be read: it is not UTF-8, nested too deeply, or has a number of thousands of digits."
)
MOST_LISTED = 100
"""Wrong fields that an answer lists."""

NO_PATH = "There is no such path; `/docs` lists those there are."
HTTP_NAMES = {404: "not-found", 405: "method-not-allowed", 413: "too-large"}


def install(app: FastAPI) -> None:
    """Have every error of the app answered by a problem document."""
    app.add_exception_handler(errors.NotifierError, _on_known)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    # a request opens no file and no connection but the database's: its errors are OSErrors before it answers
    for away in (SQLAlchemyError, OSError):
        app.add_exception_handler(away, _on_database)
    app.add_exception_handler(Exception, _on_bug)


def answer(
    request: Request,
    status: int,
    name: str,
    title: str,
    detail: str,
    problems: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the problem document as an answer."""
    body = document(request.url.path, status, name, title, detail, problems)
    return JSONResponse(body, status, dict(headers or {}), MEDIA_TYPE)


def document(
    path: str, status: int, name: str, title: str, detail: str, problems: Sequence[FieldProblem] = ()
) -> dict[str, Any]:
    """Return the problem document of a request to `path`."""
    body: dict[str, Any] = {
        "type": f"urn:notifier:problem:{name}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": path,
    }
    if problems:
        body["errors"] = [{"pointer": p.pointer, "code": p.code, "detail": p.detail} for p in problems]
    return body


def of_known(error: errors.NotifierError, path: str) -> dict[str, Any]:
    """Return the problem document of an error that a caller of `path` caused."""
    status, name, title = next(KINDS[kind] for kind in type(error).__mro__ if kind in KINDS)
    problems = error.problems[:MOST_LISTED] if isinstance(error, errors.InvalidInput) else ()
    return document(path, status, name, title, error.detail, problems)


def of_invalid(found: Sequence[Any], path: str) -> dict[str, Any]:
    """Return the problem document of what Pydantic found wrong in a body, whose fields its places name."""
    return of_known(errors.InvalidInput([wording.problem(one) for one in found]), path)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that can answer with these problems."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def created() -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that makes something with an address and revisions."""
    headers = {
        "Location": {"description": "Path of what was made.", "schema": {"type": "string"}},
        "ETag": {"description": "Its revision, for `If-Match`.", "schema": {"type": "string"}},
    }
    return {HTTPStatus.CREATED: {"description": "Made", "headers": headers}}


async def _on_known(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.NotifierError)  # noqa: S101 - what the handler is registered for
    body = of_known(error, request.url.path)
    headers = {"WWW-Authenticate": "Bearer"} if body["status"] == HTTPStatus.UNAUTHORIZED else {}
    return JSONResponse(body, body["status"], headers, MEDIA_TYPE)


async def _on_invalid(request: Request, error: Exception) -> Response:
    """Answer what FastAPI and Pydantic found wrong, with pointers of the request as the client wrote it."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        detail = f"The body is not valid JSON: {found[0]['ctx']['error']}."
        return answer(request, 400, "malformed-json", "The body is not JSON", detail)
    if any(isinstance(one.get("input"), bytes) and one["loc"] == ("body",) for one in found):
        detail = "Send JSON, with `Content-Type: application/json`."
        return answer(request, 415, "unsupported-media-type", "The body is not JSON", detail)
    # the first step of a place says body, query or path
    problems = [wording.problem({**one, "loc": one["loc"][1:]}) for one in found]
    if problems[0].pointer == "" and problems[0].code == "missing":
        problems = [replace(problems[0], detail="The body is required.")]
    body = of_known(errors.InvalidInput(problems), request.url.path)
    return JSONResponse(body, body["status"], media_type=MEDIA_TYPE)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code == HTTPStatus.BAD_REQUEST:
        return answer(request, 400, "malformed-json", "The body is not JSON", UNREADABLE)
    title = HTTPStatus(error.status_code).phrase
    name = HTTP_NAMES.get(error.status_code, title.lower().replace(" ", "-"))
    headers, detail = dict(error.headers or {}), error.detail
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request))
        detail = f"This path takes {headers['Allow']}."
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = NO_PATH
    return answer(request, error.status_code, name, title, detail, headers=headers)


def _methods(request: Request) -> list[str]:
    """Return the methods of all routes that have this path: a router tells those of the first one only."""
    routes = [one for one in request.app.routes if isinstance(one, Route)]
    found = [one.methods or () for one in routes if one.matches(request.scope)[0] is not Match.NONE]
    # what is mounted, the files of the docs page, is no route
    return sorted({method for methods in found for method in methods}) or ["GET", "HEAD"]


async def _on_database(request: Request, error: Exception) -> Response:
    """Answer 503 when the database is away, full or too busy, 500 when we wrote wrong SQL."""
    if isinstance(error, DBAPIError) and not is_away(error):
        return await _on_bug(request, error)
    log.warning("database.unavailable", error=repr(error))
    detail = "The database cannot serve this just now. Nothing was changed; try again in a few seconds."
    return answer(request, 503, "unavailable", "Temporarily unavailable", detail, headers=RETRY_SOON)


async def _on_bug(request: Request, error: Exception) -> Response:
    log.error("request.failed", method=request.method, path=request.url.path, exc_info=error)
    detail = "This is a bug of the service; its log says more."
    return answer(request, 500, "internal-error", "Internal error", detail)
