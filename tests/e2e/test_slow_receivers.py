"""Receivers that never answer, and those who share a worker with them."""

from dataclasses import replace
from datetime import timedelta
from statistics import quantiles
from uuid import UUID

import pytest

from notifier import jobs
from tests.house import House, bulk_due, open_house
from tests.processes import LOOPBACK, OwnValkey, Roles, slow_receiver, until

HEALTHY = 100
ELSEWHERE = UUID("00000000-0000-7000-8000-00000000000b")


async def another_project(house: House) -> House:
    """Return the same service as the users of another project see it."""
    await house.sql("INSERT INTO projects (id, name, mode) VALUES (:id, 'elsewhere', 'live')", id=ELSEWHERE)
    return replace(house, project_id=ELSEWHERE)


async def start_delays(house: House) -> list[timedelta]:
    """Return how long after it was planned each delivery of the project was first tried."""
    rows = await house.sql(
        "SELECT first_attempt_at - created_at AS delay FROM deliveries WHERE project_id = :id",
        id=house.project_id,
    )
    return [row.delay for row in rows]


@pytest.mark.parametrize("hanging", [500, 2000])
async def test_those_that_never_answer_do_not_keep_another_projects_messages_waiting(
    database_url: str, valkey: OwnValkey, roles: Roles, hanging: int
) -> None:
    opened = open_house(database_url, valkey.url, allow_private_destinations=LOOPBACK)
    async with opened as house, slow_receiver(gate=0) as hangs, slow_receiver() as answers:
        await bulk_due(await another_project(house), hanging, to=hangs.url, ago="1 minute")
        await bulk_due(house, HEALTHY, to=answers.url)
        roles.start("worker")
        await until(lambda: house.queue.redis.exists(f"{jobs.DELIVERY_QUEUE}:health-check"), 120)
        await house.plan()
        await until(lambda: len(set(answers.ids)) == HEALTHY, 120, "the healthy ones")
        assert quantiles(await start_delays(house), n=20)[-1] < timedelta(seconds=5)
        assert hangs.held >= 100
