"""Workers that are killed all the time, alone or while their servers lose what they know."""

import asyncio
from collections.abc import Awaitable, Callable

from notifier.domain.delivery import Decision
from notifier.embedded.child import Child
from notifier.services import deliveries
from tests.faults.scenario import Scenario
from tests.faults.stage import SMALL, Stage

WORKERS = 3

Blow = Callable[[], Awaitable[object]]


async def kill_workers(stage: Stage, *, due: int, kills: int, of_each_server: int) -> None:
    """Kill workers, the oldest first, at even steps of progress; hit the servers in between, at random."""
    await stage.fill(due)
    await _strike(stage, due, kills, of_each_server)


async def kill_and_decide(stage: Stage, *, due: int, kills: int) -> None:
    """The same where nothing may be sent twice: a person looks at the receiver, and decides."""
    await stage.fill(due)
    await stage.house.sql("UPDATE destinations SET on_unknown = 'hold'")
    await _strike(stage, due, kills, 0)
    await stage.settled()
    accepted = stage.receiver.accepted()
    unknown = await stage.house.sql("SELECT id, message_id FROM deliveries WHERE status = 'unknown'")
    assert unknown, "the kills did no harm"
    for decision, arrived in ((Decision.DELIVERED, True), (Decision.RETRY, False)):
        ids = [row.id for row in unknown if (row.message_id in accepted) is arrived]
        async with stage.house.context() as ctx:
            assert await deliveries.decide_unknown(ctx, decision, filters={"ids": ids}) == len(ids)


async def _strike(stage: Stage, due: int, kills: int, of_each_server: int) -> None:
    workers = [stage.start("worker", f"worker-{n}", WORKER_CONCURRENCY=SMALL) for n in range(WORKERS)]
    stage.start("scheduler")
    await stage.planned()
    blows = [*[_killer(stage, workers)] * kills, *_blows_at_servers(stage) * of_each_server]
    stage.random.shuffle(blows)
    step = int(due * 0.9) // len(blows)
    for number, blow in enumerate(blows):
        await stage.progress(number * step)
        await blow()
        stage.harmed()


def _killer(stage: Stage, workers: list[Child]) -> Blow:
    async def kill() -> None:
        workers.append(await stage.kill(workers.pop(0)))

    return kill


def _blows_at_servers(stage: Stage) -> list[Blow]:
    async def restart_valkey() -> None:
        await asyncio.to_thread(stage.valkey.kill)
        await asyncio.to_thread(stage.valkey.start)

    async def restart_postgres() -> None:
        await asyncio.to_thread(stage.postgres.restart_at_once)

    return [stage.house.queue.redis.flushall, restart_valkey, restart_postgres]


SCENARIOS = (
    Scenario(
        "50 kills of workers",
        kill_workers,
        full={"due": 5000, "kills": 50, "of_each_server": 0},
        quick={"due": 400, "kills": 4, "of_each_server": 0},
    ),
    Scenario(
        "the same with 3 FLUSHALL, 3 kills of Valkey, 3 restarts of PostgreSQL",
        kill_workers,
        full={"due": 5000, "kills": 50, "of_each_server": 3},
        quick={"due": 400, "kills": 2, "of_each_server": 1},
    ),
    Scenario(
        "20 kills of workers, on_unknown hold, then decisions",
        kill_and_decide,
        full={"due": 2000, "kills": 20},
        # enough for all three to have their hands full
        quick={"due": 1200, "kills": 3},
        doubles_allowed=False,
    ),
)
