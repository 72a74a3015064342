"""Is it alive, is it ready."""

import asyncio

from fastapi import APIRouter, Response

from notifier.api.deps import RuntimeDep
from notifier.api.schemas.health import Alive, Checks, Readiness
from notifier.jobs import condition
from notifier.jobs.condition import Condition
from notifier.runtime import Runtime
from notifier.storage import audit, migrations
from notifier.storage.audit import LATE_SECONDS, Standing
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
    """Say whether requests can be served (200 or 503), and how Redis, the scheduler and the workers are.

    None of those stops the API: what is due stands in the database, and goes out once they are back.
    """
    standing, redis = await asyncio.gather(stand(runtime), look_at_redis(runtime), return_exceptions=True)
    told = {"database": _database(standing), "redis": _redis(redis), **_parts(standing)}
    checks = Checks.model_validate(told)
    known = standing if isinstance(standing, Standing) else None
    response.status_code = 200 if known else 503
    healthy = all(value == "ok" for value in checks.model_dump().values())
    return Readiness(
        status="ready" if healthy else "degraded" if known else "unavailable",
        checks=checks,
        seconds_since_sweep=known and known.seconds_since_sweep,
        lag_seconds=known and known.lag_seconds,
        workers=known and known.workers,
    )


async def stand(runtime: Runtime) -> Standing:
    """Return how the service stands by its database; raises what keeps it from knowing, within seconds."""
    async with asyncio.timeout(PATIENCE):
        await migrations.check_schema(runtime.database)
        async with runtime.database.transaction() as session:
            return await audit.standing(session)


async def look_at_redis(runtime: Runtime) -> Condition:
    """Return how Redis is; raises what keeps it from knowing, within seconds."""
    async with asyncio.timeout(PATIENCE):
        return await condition.look_at(runtime.queue.redis)


def _database(standing: Standing | BaseException) -> str:
    if isinstance(standing, SchemaMismatch):
        return f"wrong schema: {standing}"
    return "unavailable" if isinstance(standing, BaseException) else "ok"


def _redis(found: Condition | BaseException) -> str:
    return "unavailable" if isinstance(found, BaseException) else found.complaint or "ok"


def _parts(standing: Standing | BaseException) -> dict[str, str]:
    """Return how those parts are of which only the database tells."""
    if isinstance(standing, BaseException):
        return {"scheduler": "no recent sweep", "worker": "unknown", "queue": "unknown"}
    age = standing.seconds_since_sweep
    return {
        "scheduler": "ok" if age is not None and age < OLDEST_SWEEP else "no recent sweep",
        "worker": "ok" if standing.workers else "none alive",
        "queue": "ok" if standing.lag_seconds <= LATE_SECONDS else "lagging",
    }
