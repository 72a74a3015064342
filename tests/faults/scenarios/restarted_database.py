"""PostgreSQL that is restarted in the middle of everything: short enough to cost no message a second send."""

import asyncio

from tests.faults.scenario import Scenario
from tests.faults.stage import SMALL, Stage


async def restart(stage: Stage, *, due: int, times: int) -> None:
    """Restart PostgreSQL at even steps of progress."""
    await stage.fill(due)
    stage.start("worker", WORKER_CONCURRENCY=2 * SMALL)
    stage.start("scheduler")
    await stage.planned()
    for number in range(1, times + 1):
        await stage.progress(number * due // (times + 1))
        await asyncio.to_thread(stage.postgres.restart_at_once)
        stage.harmed()


SCENARIOS = (
    Scenario(
        "5 restarts of PostgreSQL",
        restart,
        full={"due": 5000, "times": 5},
        quick={"due": 400, "times": 1},
        seconds=0.1,
        doubles_allowed=False,
    ),
)
