"""One wide line in the log for each request: no body, no query, no path that was not ours."""

from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notifier.clock import monotonic
from notifier.observability import metrics

log = structlog.get_logger(__name__)

PROBES = ("/healthz", "/readyz", "/metrics")
"""Asked every few seconds, so a good answer is worth a line only when looking closely."""


class AccessLog:
    """ASGI middleware that logs how a request was answered; who asked is bound by `access.authenticate`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and log it at its end, whatever that is."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        structlog.contextvars.clear_contextvars()
        started = monotonic()
        status: int | None = None

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            status = 500  # answered further out
            raise
        finally:
            _write(scope, status, monotonic() - started)


def _write(scope: Scope, status: int | None, seconds: float) -> None:
    """Log the line and count; without a status nobody waited for the answer."""
    route = _template(scope)
    metrics.requested(scope["method"], route, status, seconds)
    write = log.debug if route in PROBES and status == 200 else log.info
    write(
        "request.done",
        method=scope["method"],
        route=route,
        status=status,
        duration_ms=round(seconds * 1000, 1),
    )


def _template(scope: Scope) -> Any:
    return getattr(scope.get("route"), "path", None)
