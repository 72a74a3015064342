"""A sweep rings for what it has written: after the commit, early, and without harm if Redis is away."""

from collections.abc import Sequence

from notifier import jobs
from notifier.jobs import Job
from notifier.pipeline import planner
from notifier.storage.engine import Database
from tests.house import House, bulk_due, rows_of


class Witness(jobs.Queue):
    """A queue that looks, over a connection of its own, whether the rows that it rings for are there."""

    def __init__(self, queue: jobs.Queue, database: Database) -> None:
        super().__init__(queue.redis, queue.name)
        self.database = database
        self.seen: list[bool] = []

    async def ring(self, jobs: Sequence[Job]) -> None:
        async with self.database.transaction() as session:
            for job in jobs:
                found = await rows_of(session, "SELECT 1 FROM deliveries WHERE id = :id", id=job.delivery_id)
                self.seen.append(bool(found))
        await super().ring(jobs)


async def test_a_ring_follows_the_commit(house: House) -> None:
    await bulk_due(house, 5)
    witness = Witness(house.queue, house.database)
    await planner.sweep(house.database, witness, batch=2)
    assert witness.seen == [True] * 5


class Counting(jobs.Queue):
    """A queue that notes for how many deliveries it was rung at a time."""

    def __init__(self, queue: jobs.Queue) -> None:
        super().__init__(queue.redis, queue.name)
        self.rung: list[int] = []

    async def ring(self, jobs: Sequence[Job]) -> None:
        self.rung.append(len(jobs))
        await super().ring(jobs)


async def test_a_large_sweep_begins_with_small_batches_so_that_nobody_waits_for_a_large_one(
    house: House,
) -> None:
    await bulk_due(house, 850)
    queue = Counting(house.queue)
    await planner.sweep(house.database, queue, batch=350)
    assert queue.rung == [planner.FIRST_BATCH, 200, 350, 200]


async def test_without_redis_the_slots_are_planned_and_rung_for_later(house: House) -> None:
    await bulk_due(house, 3)
    nobody = jobs.connect("redis://127.0.0.1:1/0")
    assert await planner.sweep(house.database, nobody, batch=10) == 3
    await nobody.aclose()
    assert await house.rung() == []
    await house.sql("UPDATE deliveries SET enqueued_at = enqueued_at - interval '31 seconds'")
    assert (await house.rescue()).rung == 3
    assert len(await house.rung()) == 3
