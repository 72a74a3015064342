"""The figures of worker and scheduler, at a port of their own."""

import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.house import House, open_house
from tests.processes import Roles, open_roles, until
from tests.servers import free_port


@pytest.fixture
async def house(database_url: str, redis_url: str) -> AsyncIterator[House]:
    """Yield a wired service."""
    async with open_house(database_url, redis_url) as opened:
        yield opened


@pytest.fixture
def roles(tmp_path: Path, database_url: str, redis_url: str) -> Iterator[Roles]:
    """Yield the service's processes on the same servers."""
    with open_roles(tmp_path / "roles", database_url, redis_url) as opened:
        yield opened


def scrape(port: int) -> dict[tuple[str, ...], float]:
    """Return the samples by name and the values of their labels; none while nobody listens."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            page = answer.read().decode()
    except OSError:
        return {}
    families = text_string_to_metric_families(page)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


async def test_a_worker_counts_what_it_sends_by_kind_status_and_reason(house: House, roles: Roles) -> None:
    await house.plan_one(to=["log:"])
    await house.sql("UPDATE notification_revisions SET title = '{{ 1 | divided_by: 0 }}'")
    await house.create_due(to=["log:"])
    await house.plan()
    port = free_port()
    roles.start("worker", METRICS_PORT=port)
    ends = [("log", "", "delivered"), ("log", "template_error", "failed")]  # by the names of the labels

    def counted() -> bool:
        found = scrape(port)
        return all(found.get(("notifier_deliveries_total", *end)) == 1 for end in ends)

    await until(counted)
    assert scrape(port)[("notifier_attempt_duration_seconds_count", "log", "rejected")] == 1


async def test_a_scheduler_counts_what_it_plans_and_sweeps(house: House, roles: Roles) -> None:
    await house.create_due()
    port = free_port()
    roles.start("scheduler", METRICS_PORT=port)
    await until(lambda: scrape(port).get(("notifier_notifications_planned_total",)) == 1)
    await until(lambda: scrape(port).get(("notifier_rescued_total", "freed")) == 0)
    assert scrape(port)[("notifier_sweep_duration_seconds_count",)] >= 1


async def test_a_port_that_is_taken_costs_the_figures_only(house: House, roles: Roles) -> None:
    await house.plan_one(to=["log:"])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        roles.start("worker", METRICS_PORT=taken.getsockname()[1])

        async def delivered() -> bool:
            return (await house.delivery()).status == "delivered"

        await until(delivered)
    assert "metrics.unavailable" in roles.log("worker")


async def test_a_worker_is_counted_while_it_lives(house: House, roles: Roles) -> None:
    alive = "SELECT count(*) AS n FROM heartbeats WHERE name LIKE 'worker:%'"

    async def there_are(count: int) -> bool:
        return bool((await house.one(alive)).n == count)

    worker = roles.start("worker")
    await until(lambda: there_are(1))
    os.kill(worker.pid, signal.SIGTERM)
    await until(lambda: worker.exit_code() is not None)
    assert await there_are(0)
