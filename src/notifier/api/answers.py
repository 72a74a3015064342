"""Answers to reads: written once, without a second validation, and not at all to who has them already."""

from hashlib import blake2b
from typing import Annotated, Any

from fastapi import Header
from pydantic import BaseModel
from starlette.responses import Response
from starlette.status import HTTP_304_NOT_MODIFIED

IfNoneMatch = Annotated[
    str | None,
    Header(alias="If-None-Match", description="An `ETag` that you know; 304 if it is still so."),
]

UNCHANGED: dict[int | str, dict[str, Any]] = {
    HTTP_304_NOT_MODIFIED: {"description": "It is as the ETag in `If-None-Match` has it."}
}
"""The `responses` of a route that takes If-None-Match."""


def answer(model: BaseModel) -> Response:
    """Return what a call answers, as JSON."""
    return Response(model.model_dump_json(), media_type="application/json")


def answer_unless_known(model: BaseModel, revision: int, known: str | None) -> Response:
    """Return a resource as JSON, or 304 to a caller who knows its present state.

    That is more than its revision: the engine moves what is due without making one. So the ETag names the
    revision, which is all that If-Match looks at, and the whole of the answer.
    """
    body = model.model_dump_json().encode()
    tag = f'"{revision}-{blake2b(body, digest_size=8).hexdigest()}"'
    if known is not None and _names(known, tag):
        return Response(status_code=HTTP_304_NOT_MODIFIED, headers={"ETag": tag})
    return Response(body, headers={"ETag": tag}, media_type="application/json")


def _names(known: str, tag: str) -> bool:
    """Say whether the header names the tag; weak tags count, as RFC 9110 has it."""
    tags = (one.strip().removeprefix("W/") for one in known.split(","))
    return any(one in ("*", tag) for one in tags)
