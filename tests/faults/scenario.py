"""A scenario: what is done to the service, in a full and in a quick form."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.result import Result
from tests.faults.stage import RING_PATIENCE, open_stage

Act = Callable[..., Awaitable[None]]
Form = Mapping[str, Any]

FULL_LEASE = 30.0
QUICK_LEASE = 8.0
SPARE = 15.0
SWEEP = 60.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """`act` does the harm on a stage, with the arguments of `full` or of `quick`; None leaves that form out.

    `seconds` is how long the receiver takes to answer. `late_sweep` says that what is due may be planned only
    by the next sweep after the harm; without `drain_counts` the messages that are left take longer than any
    healing. `name` is that of the full form.
    """

    name: str
    act: Act
    full: Form | None
    quick: Form | None
    seconds: float = 0.05
    doubles_allowed: bool = True
    late_sweep: bool = False
    drain_counts: bool = True

    def drain_limit(self, lease: float) -> float | None:
        """Return the seconds after the last harm within which all must have ended."""
        if not self.drain_counts:
            return None
        return max(lease, RING_PATIENCE) + SPARE + (SWEEP if self.late_sweep else 0)

    async def play(self, form: Form, folder: Path, *, lease: float, seed: int) -> Result:
        """Do the harm, wait for the end of every message, and count; `folder` is empty and remains."""
        opened = open_stage(folder, lease=lease, seconds=self.seconds, seed=seed)
        async with opened as stage:
            await self.act(stage, **form)
            await stage.drain()
            return await stage.result(self.name)
