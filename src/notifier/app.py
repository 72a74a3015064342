"""The API process."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.routing import BaseRoute

from notifier import __version__
from notifier.api import (
    bulk,
    deliveries,
    destinations,
    exceptions,
    health,
    metrics,
    notifications,
    openapi,
    problems,
    projects,
    schedules,
    test_clock,
)
from notifier.api.access_log import AccessLog
from notifier.api.limits import BodyLimit
from notifier.observability import logs
from notifier.runtime import open_runtime
from notifier.settings import Settings

ROUTERS = (
    notifications.router,
    bulk.router,
    exceptions.router,
    schedules.router,
    destinations.router,
    deliveries.router,
    test_clock.router,
    projects.router,
    health.router,
    metrics.router,
)
DESCRIPTION = """
Recurring notifications: one POST, and a message goes out every day or week, exactly when it should.

Press **Authorize** and paste an API key. Errors are problem documents (RFC 9457). Lists are paged: pass
`next_cursor` back as `cursor`. A POST repeated with the same `Idempotency-Key` does its work once.
"""


def create_app(settings: Settings) -> FastAPI:
    """Return the API. It connects when it is first asked."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_runtime(settings) as app.state.runtime:
            yield

    app = FastAPIOffline(
        title="notifier",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        swagger_ui_parameters={"persistAuthorization": True, "tryItOutEnabled": True},
    )
    problems.install(app)
    openapi.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(AccessLog)
    app.router.routes[:0] = _routes()
    app.add_api_route("/", _home, include_in_schema=False)
    return app


def _routes() -> Iterator[BaseRoute]:
    """Yield all routes, to stand beside one another in the application.

    A router that is included stays one, and each request is matched against it twice: that takes as long as a
    statement of SQL.
    """
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                route.operation_id = openapi.operation_id(route)
            yield route


async def _home() -> RedirectResponse:
    return RedirectResponse("/docs")


def run() -> None:
    """Serve the API until SIGTERM or SIGINT."""
    settings = Settings()
    logs.configure(log_format=settings.log_format, level=settings.log_level)
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        loop="uvloop",
        timeout_graceful_shutdown=10,
    )
