"""A way to a service on which calls are refused and answers get lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

KEPT = {"content-type", "idempotent-replayed"}


@dataclass
class Troubled:
    """A way to the service on which answers get lost: `trouble` says what becomes of each call in turn."""

    target: str
    trouble: list[str]
    seen: list[tuple[str, str]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass a call on, or refuse it, or lose its answer."""
        self.seen.append((request.path, request.headers.get("Idempotency-Key", "")))
        what = self.trouble.pop(0) if self.trouble else ""
        if what == "503":
            return web.json_response({"detail": "busy"}, status=503, headers={"Retry-After": "1"})
        if what.startswith("<"):
            return web.Response(text=what, content_type="text/html", status=502 if "502" in what else 200)
        async with (
            aiohttp.ClientSession(headers=request.headers) as session,
            session.request(
                request.method, self.target + request.path_qs, data=await request.read()
            ) as answer,
        ):
            body = await answer.read()
            if what == "lost":
                request.transport.abort()  # type: ignore[union-attr]
            kept = {k: v for k, v in answer.headers.items() if k.lower() in KEPT}
            return web.Response(body=body, status=answer.status, headers=kept)


@asynccontextmanager
async def troubled(target: str, *trouble: str) -> AsyncIterator[tuple[str, Troubled]]:
    way = Troubled(target, list(trouble))
    application = web.Application(client_max_size=2**25)
    application.router.add_route("*", "/{path:.*}", way.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", way
    finally:
        await runner.cleanup()
