"""How much a request may carry."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.status import HTTP_413_CONTENT_TOO_LARGE
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MIB = 1024 * 1024
LARGEST_BODY = 1 * MIB
"""Bytes of a request's body."""

LARGER_BODIES = {"/v1/notifications/bulk": 16 * MIB}
"""Bytes of the bodies that carry many things: a thousand notifications with texts of some length."""


class BodyLimit:
    """ASGI middleware that ends the reading of a body that is too large, whether or not it says its size.

    Starlette's own answers in plain text; this one's error becomes a problem document.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting what it says to carry and what it really carries."""
        declared = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        most = LARGER_BODIES.get(scope.get("path", ""), LARGEST_BODY)
        read = 0

        async def counted() -> Message:
            nonlocal read
            _check(int(declared) if declared.isdecimal() else 0, most)
            message = await receive()
            read += len(message.get("body", b""))
            _check(read, most)
            return message

        await self._app(scope, counted, send)


def _check(size: int, most: int) -> None:
    if size > most:
        raise HTTPException(HTTP_413_CONTENT_TOO_LARGE, f"The body may have {most // MIB} MiB at most.")
