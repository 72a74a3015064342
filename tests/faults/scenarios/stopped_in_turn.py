"""A rolling restart: each process is asked to end (SIGTERM) and started anew, one after the other."""

import os
import signal

from tests.faults.scenario import Scenario
from tests.faults.stage import SMALL, Stage, ended


async def roll(stage: Stage, *, due: int, times: int) -> None:
    """Restart processes in turn, in good order, in the middle of the work."""
    await stage.fill(due)
    names = (("worker", "worker-1"), ("worker", "worker-2"), ("scheduler", "scheduler"))
    running = [stage.start(role, name, WORKER_CONCURRENCY=SMALL, SWEEP_BATCH=100) for role, name in names]
    await stage.planned()
    for number in range(1, times + 1):
        await stage.progress(number * due // (times + 1))
        child = running.pop(0)
        if child.name != "scheduler":
            await stage.at_work(child)
        os.kill(child.pid, signal.SIGTERM)
        await ended(child)
        # one that is still starting has nothing to finish
        assert child.exit_code() in {0, -signal.SIGTERM}, child.last_lines()
        stage.harmed()
        running.append(await stage.again(child))


SCENARIOS = (
    Scenario(
        "20 rolling SIGTERMs",
        roll,
        full={"due": 4000, "times": 20},
        quick={"due": 400, "times": 3},
        seconds=0.2,
        doubles_allowed=False,
        late_sweep=True,
    ),
)
