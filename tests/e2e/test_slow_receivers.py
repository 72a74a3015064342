"""Receivers that never answer, and those who share a worker with them."""

from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from statistics import quantiles

import pytest

from notifier import jobs
from notifier.clock import new_id
from tests.house import House, bulk_due, open_house
from tests.processes import LOOPBACK, OwnValkey, Roles, slow_receiver, until

HEALTHY = 100


async def another_project(house: House) -> House:
    """Return the same service as the users of a new project see it."""
    project_id = new_id()
    await house.sql("INSERT INTO projects (id, name, mode) VALUES (:id, 'elsewhere', 'live')", id=project_id)
    return replace(house, project_id=project_id)


async def start_delays(house: House) -> list[timedelta]:
    """Return how long after it was planned each delivery of the project was first tried."""
    rows = await house.sql(
        "SELECT first_attempt_at - created_at AS delay FROM deliveries WHERE project_id = :id",
        id=house.project_id,
    )
    return [row.delay for row in rows]


@pytest.mark.parametrize(("hosts", "messages"), [(1, 500), (1, 2000), (5, 400), (20, 200)])
async def test_those_that_never_answer_do_not_keep_other_projects_messages_waiting(
    database_url: str, valkey: OwnValkey, roles: Roles, hosts: int, messages: int
) -> None:
    async with AsyncExitStack() as stack:
        opened = open_house(database_url, valkey.url, allow_private_destinations=LOOPBACK)
        house = await stack.enter_async_context(opened)
        answers = await stack.enter_async_context(slow_receiver())
        hanging = [await stack.enter_async_context(slow_receiver(gate=0)) for _ in range(hosts)]
        for one in hanging:
            await bulk_due(await another_project(house), messages, to=one.url, ago="1 minute")
        await bulk_due(house, HEALTHY, to=answers.url)
        roles.start("worker")
        await until(lambda: house.queue.redis.exists(f"{jobs.DELIVERY_QUEUE}:health-check"), 120)
        await house.plan()
        await until(lambda: len(set(answers.ids)) == HEALTHY, 120, "the healthy ones")
        delays = await start_delays(house)
        assert quantiles(delays, n=20)[-1] < timedelta(seconds=5)
        assert sum(one.held for one in hanging) >= 100
