"""A worker that dies in the middle of a due minute, and is not started again: the other one does the rest."""

import os
import signal

from tests.faults.scenario import Scenario
from tests.faults.stage import Stage, ended


async def kill_one_of_two(stage: Stage, *, due: int) -> None:
    """Kill one of two workers, both with their hands full, once half of the messages have arrived."""
    await stage.fill(due)
    stage.start("worker", "other")
    doomed = stage.start("worker", "doomed")
    stage.start("scheduler")
    await stage.at_work(doomed)
    await stage.progress(due // 2)
    os.kill(doomed.pid, signal.SIGKILL)
    stage.harmed()
    await ended(doomed)


SCENARIOS = (
    Scenario(
        "one of two workers dies in a minute of 20,000",
        kill_one_of_two,
        full={"due": 20_000},
        quick={"due": 2_000},
    ),
)
