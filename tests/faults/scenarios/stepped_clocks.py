"""Hosts whose clocks are wrong, and are set while messages are due: the database's clock alone decides."""

import sys

from tests.faults.host_clock import faketime
from tests.faults.scenario import SWEEP, Scenario
from tests.faults.stage import PROGRESS_SECONDS, SMALL, Stage
from tests.processes import until

HOUR = 3600
STILL_TO_COME = (
    "SELECT count(*) AS rows FROM notifications WHERE next_due_at > now() AND last_slot_at IS NULL"
)
TOO_EARLY = "SELECT count(*) AS rows FROM deliveries WHERE created_at < scheduled_for"


async def step(stage: Stage, *, due: int, seconds: float, sweep_every: float) -> None:
    """Run a scheduler an hour ahead and a worker an hour behind; then set both, one of them back.

    Half is due in so many seconds, after the scheduler's clock went back: its cron stands still for an hour.
    """
    if faketime() is None:
        print("no faketime here: the processes' own modules get another clock", file=sys.stderr)  # noqa: T201
    await stage.fill(due, later=due // 2, seconds=seconds)
    ahead = stage.host_clock("ahead", HOUR, sweep_every)
    behind = stage.host_clock("behind", -HOUR, sweep_every)
    stage.start("worker", clock=behind, WORKER_CONCURRENCY=SMALL)
    stage.start("scheduler", clock=ahead)
    await stage.progress(due // 4)
    ahead.set(0)
    behind.set(HOUR)
    await until(lambda: _none(stage, STILL_TO_COME), PROGRESS_SECONDS, "the other half")
    stage.harmed()
    await stage.drain()
    assert await _none(stage, TOO_EARLY), "something was planned before it was due"


async def _none(stage: Stage, query: str) -> bool:
    return not (await stage.house.one(query)).rows


SCENARIOS = (
    Scenario(
        "clocks of hosts an hour ahead, behind, and set back",
        step,
        full={"due": 4000, "seconds": 45, "sweep_every": SWEEP},
        quick={"due": 200, "seconds": 4, "sweep_every": 2.0},
        doubles_allowed=False,
        late_sweep=True,
    ),
)
