"""A server that is away for minutes, in the middle of the work, and while more comes due."""

import asyncio

from tests.faults.scenario import Scenario
from tests.faults.stage import SMALL, Stage


async def begin(stage: Stage, due: int, away: float) -> None:
    """Have half of the messages due at once, and half while the server will be away; come to a quarter."""
    await stage.fill(due, later=due // 2, seconds=min(30, away))
    stage.start("worker", WORKER_CONCURRENCY=SMALL)
    stage.start("scheduler")
    await stage.progress(due // 4)


async def without_redis(stage: Stage, *, due: int, away: float) -> None:
    """Take Valkey away for `away` seconds."""
    await begin(stage, due, away)
    await asyncio.to_thread(stage.valkey.kill)
    await asyncio.sleep(away)
    await asyncio.to_thread(stage.valkey.start)
    stage.harmed()


async def without_postgres(stage: Stage, *, due: int, away: float) -> None:
    """Take PostgreSQL away for `away` seconds; a worker with empty hands waits for its return."""
    await begin(stage, due, away)
    await asyncio.to_thread(stage.postgres.stop_at_once)
    stage.start("worker", "worker-2", WORKER_CONCURRENCY=SMALL)
    await asyncio.sleep(away)
    await asyncio.to_thread(stage.postgres.start)
    stage.harmed()


SCENARIOS = (
    Scenario(
        "Redis away for 2 minutes",
        without_redis,
        full={"due": 2000, "away": 120},
        quick={"due": 400, "away": 3},
        doubles_allowed=False,
        late_sweep=True,
    ),
    Scenario(
        "PostgreSQL away for a minute, two leases",
        without_postgres,
        full={"due": 2000, "away": 60},
        quick={"due": 400, "away": 12},
        doubles_allowed=False,
        late_sweep=True,
    ),
    Scenario(
        "PostgreSQL away for 2 minutes, over three leases",
        without_postgres,
        full={"due": 2000, "away": 120},
        quick=None,
        late_sweep=True,
    ),
)
