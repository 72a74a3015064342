"""Is it alive, is it ready."""

import asyncio

from fastapi import APIRouter, Response

from notifier.api.deps import RuntimeDep
from notifier.api.schemas.health import Alive, Readiness
from notifier.pipeline.planner import SCHEDULER
from notifier.runtime import Runtime
from notifier.storage import migrations, planning
from notifier.storage.migrations import SchemaMismatch

router = APIRouter(tags=["health"])

PATIENCE = 3.0
OLDEST_SWEEP = 150.0


@router.get("/healthz")
async def healthz() -> Alive:
    """Say that the process answers; nothing else is looked at."""
    return Alive(status="ok")


@router.get(
    "/readyz",
    responses={503: {"model": Readiness, "description": "The database is away, or has another schema."}},
)
async def readyz(runtime: RuntimeDep, response: Response) -> Readiness:
    """Say whether requests can be served (200 or 503), and how Redis and the scheduler are.

    Neither of those two stops the API: rings that are lost are rung again from rows.
    """
    database, redis = await asyncio.gather(_age_of_sweep(runtime), _ping(runtime), return_exceptions=True)
    ready = not isinstance(database, BaseException)
    swept = database if ready else None
    alive = isinstance(swept, float) and swept < OLDEST_SWEEP
    checks = {
        "database": _verdict(database),
        "redis": "ok" if redis is None else "unavailable",
        "scheduler": "ok" if alive else "no recent sweep",
    }
    response.status_code = 200 if ready else 503
    healthy = all(value == "ok" for value in checks.values())
    status = "ready" if healthy else "degraded" if ready else "unavailable"
    return Readiness.model_validate({"status": status, "checks": checks, "seconds_since_sweep": swept})


def _verdict(database: float | BaseException | None) -> str:
    if isinstance(database, SchemaMismatch):
        return f"wrong schema: {database}"
    return "unavailable" if isinstance(database, BaseException) else "ok"


async def _age_of_sweep(runtime: Runtime) -> float | None:
    async with asyncio.timeout(PATIENCE):
        await migrations.check_schema(runtime.database)
        async with runtime.database.transaction() as session:
            return await planning.age_of_beat(session, SCHEDULER)


async def _ping(runtime: Runtime) -> None:
    async with asyncio.timeout(PATIENCE):
        await runtime.queue.ping()
