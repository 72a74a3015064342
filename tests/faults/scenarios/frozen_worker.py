"""A worker that stands still for longer than its leases hold, and then goes on as if nothing had happened."""

import os
import signal

from tests.faults.scenario import Scenario
from tests.faults.stage import SMALL, Stage
from tests.processes import until

STUCK = "SELECT count(*) AS rows FROM deliveries WHERE lease_expires_at < now()"
SENDING = "SELECT count(*) AS rows FROM deliveries WHERE status = 'sending'"
SECONDS = 120


async def freeze(stage: Stage, *, due: int, times: int) -> None:
    """Freeze a worker with its hands full until all that it held has been given to the other one."""
    await stage.fill(due)
    frozen = stage.start("worker", "worker-1", WORKER_CONCURRENCY=SMALL)
    stage.start("scheduler")
    for number in range(times):
        await stage.progress(stage.receiver.count() + 4 * SMALL)
        await until(lambda: _over(stage, SENDING, SMALL // 2), SECONDS, "full hands")
        os.kill(frozen.pid, signal.SIGSTOP)
        if number == 0:
            stage.start("worker", "worker-2", WORKER_CONCURRENCY=SMALL)
        await until(lambda: _over(stage, STUCK, 0), SECONDS, "leases that ran out")
        await until(lambda: _none(stage, STUCK), SECONDS, "the rescue")
        os.kill(frozen.pid, signal.SIGCONT)
        stage.harmed()


async def _over(stage: Stage, query: str, count: int) -> bool:
    return int((await stage.house.one(query)).rows) > count


async def _none(stage: Stage, query: str) -> bool:
    return not await _over(stage, query, 0)


SCENARIOS = (
    Scenario(
        "3 freezes of a worker beyond its leases",
        freeze,
        full={"due": 5500, "times": 3},
        quick={"due": 400, "times": 1},
        seconds=0.5,
    ),
)
