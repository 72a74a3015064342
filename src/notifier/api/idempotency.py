"""`Idempotency-Key`: a POST that is repeated with its key does its work once and answers the same."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from starlette.responses import Response

from notifier.api.deps import Writer
from notifier.domain.errors import IdempotencyMismatch
from notifier.services.context import Context
from notifier.storage import idempotency

KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x20-\x7e]+$",
        description="Any text of yours. A request repeated with it within 24 h is answered, not done; "
        "409 while the first is still under way.",
    ),
]
Answer = tuple[BaseModel, dict[str, str]]


class Once:
    """Does the work of a POST once per Idempotency-Key, in the request's own transaction."""

    def __init__(self, ctx: Context, key: str | None, fingerprint: bytes) -> None:
        self._ctx = ctx
        self._key = key
        self._fingerprint = fingerprint

    async def __call__(self, status: int, work: Callable[[], Awaitable[Answer]]) -> Response:
        """Return the answer kept under the key, or do `work` and keep its answer."""
        if self._key is not None and (kept := await self._begin(self._key)) is not None:
            return kept
        model, headers = await work()
        answer = {"status": status, "headers": headers, "body": model.model_dump_json()}
        if self._key is not None:
            sealed = self._ctx.cipher.encrypt(json.dumps(answer))
            await idempotency.keep(self._ctx.session, self._ctx.project_id, self._key, sealed)
        return _respond(answer)

    async def _begin(self, key: str) -> Response | None:
        row = await idempotency.begin(self._ctx.session, self._ctx.project_id, key, self._fingerprint)
        if row is None:
            return None
        if row.fingerprint != self._fingerprint:
            raise IdempotencyMismatch("This Idempotency-Key came with another request before; use a new one.")
        answer = json.loads(self._ctx.cipher.decrypt(row.answer))
        answer["headers"]["Idempotent-Replayed"] = "true"
        return _respond(answer)


def _respond(answer: Mapping[str, Any]) -> Response:
    return Response(answer["body"], answer["status"], answer["headers"], "application/json")


async def _once(ctx: Writer, request: Request, key: KeyHeader = None) -> Once:
    """Return the guard for this request; a request is known by its path and body."""
    if key is None:
        return Once(ctx, None, b"")
    body = await request.body()
    return Once(ctx, key, hashlib.sha256(request.url.path.encode() + b"\0" + body).digest())


OnceDep = Annotated[Once, Depends(_once, scope="function")]
