"""Processes that end in the worst moments: between two steps, at each of the places that have a name."""

import asyncio
from collections.abc import Iterator, Sequence

from notifier import failpoints as at
from tests.faults.scenario import Scenario
from tests.faults.stage import SMALL, Stage, ended

PLANNER = (at.AFTER_INSERT, at.AFTER_COMMIT, at.MID_BATCH)
WORKER = (at.AFTER_PICK_UP, at.AFTER_CLAIM, at.REQUEST_LEFT, at.BEFORE_OUTCOME, at.AFTER_OUTCOME)
RESCUER = (at.IN_RESCUE,)
BATCH = 600
"""Notifications in a transaction: more than are rung for in one call."""

TINY = 5
"""Messages that a worker sends at once; it has twenty times as many in hand."""

Ends = Sequence[tuple[str, int]]


async def end_worker(stage: Stage, *, due: int, place: str, kills: int) -> None:
    """End a worker at one place, each time after another number of messages.

    There is more to do than all of them take in hand: if the last ones had to wait for what the first left
    behind, they would end with the same messages, and a message that ends three workers is given up.
    """
    await stage.fill(due)
    stage.start("scheduler")
    ends = [(place, stage.random.randint(1, 30)) for _ in range(kills)]
    await live_and_die(stage, "worker", ends, concurrency=TINY)


async def end_planner(stage: Stage, *, due: int, place: str, kills: int, batch: int) -> None:
    """End a scheduler at one place while it plans."""
    await stage.fill(due)
    stage.start("worker")
    await live_and_die(stage, "scheduler", [(place, 1)] * kills, batch)


async def end_rescuer(stage: Stage, *, due: int, kills: int) -> None:
    """End a scheduler while it rescues what a killed worker left and what Redis lost."""
    await stage.fill(due)
    worker = stage.start("worker", WORKER_CONCURRENCY=SMALL)
    ends = [(at.IN_RESCUE, stage.random.randint(1, 3)) for _ in range(kills)]
    for number, end in enumerate(ends):
        if number % 4 == 3:
            await stage.house.queue.redis.flushall()
            worker = await stage.kill(worker)
        await die(stage, "scheduler", end)
    assert not await stage.all_ended(), "there was nothing left to rescue"
    stage.start("scheduler")
    stage.start("worker", "worker-2")


async def end_everywhere(stage: Stage, *, due: int) -> None:
    """End a scheduler at each of its places once, and beside it a worker at each of its own."""
    await stage.fill(due)
    at_random = [(place, stage.random.randint(1, 30)) for place in WORKER]
    await asyncio.gather(
        live_and_die(stage, "scheduler", [(place, 1) for place in (*PLANNER, *RESCUER)]),
        live_and_die(stage, "worker", at_random),
    )


async def live_and_die(
    stage: Stage, role: str, ends: Ends, batch: int = BATCH, concurrency: int = SMALL
) -> None:
    """Let a role come to these ends, one after the other, and then live."""
    for end in ends:
        await die(stage, role, end, batch, concurrency)
    stage.start(role, SWEEP_BATCH=batch)


async def die(
    stage: Stage, role: str, end: tuple[str, int], batch: int = BATCH, concurrency: int = SMALL
) -> None:
    """Start a process that ends itself, and wait for that."""
    child = stage.start(role, at=end, SWEEP_BATCH=batch, WORKER_CONCURRENCY=concurrency)
    await ended(child)
    assert child.exit_code() == -9, child.last_lines()
    stage.harmed()


def _each(kills: int) -> Iterator[Scenario]:
    for place, due, batch in (
        (at.AFTER_INSERT, 2000, 100),
        (at.AFTER_COMMIT, 2200, 100),
        (at.MID_BATCH, 13_000, BATCH),
    ):
        full = {"due": due, "place": place, "kills": kills, "batch": batch}
        yield Scenario(f"{kills} kills of a scheduler, {place}", end_planner, full, None, seconds=0)
    for place in WORKER:
        full = {"due": 3000, "place": place, "kills": kills}
        yield Scenario(f"{kills} kills of a worker, {place}", end_worker, full, None)
    full = {"due": 2500, "kills": kills}
    yield Scenario(f"{kills} kills of a scheduler, {at.IN_RESCUE}", end_rescuer, full, None, seconds=0.5)


SCENARIOS = (
    *_each(20),
    Scenario("a kill at each failpoint", end_everywhere, None, {"due": 1400}),
)
