"""The API process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

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
        generate_unique_id_function=openapi.operation_id,
        swagger_ui_parameters={"persistAuthorization": True, "tryItOutEnabled": True},
    )
    problems.install(app)
    openapi.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(AccessLog)
    for router in ROUTERS:
        app.include_router(router)
    app.add_api_route("/", _home, include_in_schema=False)
    return app


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
