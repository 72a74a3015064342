"""A message that kills each worker that sends it, among others that are in the same hands."""

from notifier.domain.delivery import MOST_UNKNOWN_IN_A_ROW
from tests.faults.scenario import Scenario
from tests.faults.stage import Stage, ended

TITLE = "deadly"


async def send_what_kills(stage: Stage, *, due: int) -> None:
    """Have it kill as many workers as it takes to be given up; all others are due still."""
    await stage.fill(due)
    await stage.make_deadly(TITLE)
    worker = stage.start("worker", deadly=TITLE)
    stage.start("scheduler")
    for _ in range(MOST_UNKNOWN_IN_A_ROW):
        await ended(worker)
        stage.harmed()
        worker = await stage.again(worker)


SCENARIOS = (
    Scenario(
        "a message that kills each worker that sends it",
        send_what_kills,
        full={"due": 3000},
        quick={"due": 1000},
        drain_counts=False,
    ),
)
