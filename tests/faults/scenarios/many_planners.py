"""Schedulers that all plan the same due notifications at once."""

from tests.faults.scenario import Scenario
from tests.faults.stage import Stage


async def plan_at_once(stage: Stage, *, due: int, planners: int, batch: int) -> None:
    """Start all schedulers together; small batches, so that they meet."""
    await stage.fill(due)
    stage.start("worker")
    started = [stage.start("scheduler", f"scheduler-{n}", SWEEP_BATCH=batch) for n in range(planners)]
    await stage.planned()
    stage.harmed()
    worked = [child.name for child in started if '"planned":' in child.log.read_text()]
    assert len(worked) > 1, f"only {worked} planned: nothing was at once"


SCENARIOS = (
    Scenario(
        "8 schedulers at once",
        plan_at_once,
        full={"due": 20_000, "planners": 8, "batch": 50},
        quick={"due": 6000, "planners": 3, "batch": 10},
        seconds=0,
        doubles_allowed=False,
        drain_counts=False,
    ),
)
