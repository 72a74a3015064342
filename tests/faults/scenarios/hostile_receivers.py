"""Receivers that do harm, beside one that is well, which has its messages at once; the worker stays small."""

import json
from datetime import timedelta
from statistics import quantiles

import psutil

from notifier.embedded.child import Child
from tests.faults.scenario import Scenario
from tests.faults.stage import Stage
from tests.house import bulk_due

MOST_GROWTH = 100_000_000
"""Bytes by which a worker may grow."""

MOST_DELAY = timedelta(seconds=5)
"""Within which nearly all messages to who is well are begun with, once they are planned."""

HANGING = 10.0
"""Seconds for which a worker waits for an answer here."""

EXPECTED = {
    "drip_headers": ("failed", "timeout", None),
    "drip_body": ("failed", "failed", 500),
    "endless_headers": ("failed", "connection_lost", None),
    "endless_body": ("failed", "failed", 500),
    "bomb": ("failed", "failed", 500),
    "hang": ("failed", "timeout", None),
    "reset_after_headers": ("delivered", "delivered", 200),
    "storm": ("failed", "failed", 429),
}
"""How each message ends: its status, and its only attempt's outcome and status code."""

FOUND = """
SELECT t.name, d.status, a.outcome, a.status_code, count(*) AS rows
FROM deliveries AS d
JOIN destinations AS t ON t.project_id = d.project_id AND t.id = d.destination_id
LEFT JOIN attempts AS a ON a.project_id = d.project_id AND a.delivery_id = d.id
WHERE t.name IN ({names})
GROUP BY 1, 2, 3, 4 ORDER BY 1
"""
STARTS = """
SELECT d.first_attempt_at - d.created_at AS delay FROM deliveries AS d
JOIN destinations AS t ON t.project_id = d.project_id AND t.id = d.destination_id
WHERE t.config->>'url' = :url AND d.first_attempt_at IS NOT NULL
"""
HELD_UP = """
SELECT count(*) AS rows FROM deliveries AS d
JOIN destinations AS t ON t.project_id = d.project_id AND t.id = d.destination_id
WHERE t.name IN ('hang', 'drip_headers') AND d.status = 'sending'
"""


async def receive_badly(stage: Stage, *, due: int, each: int) -> None:
    """Send `each` messages to every harm, and after them `due` to one who is well."""
    await stage.fill(due)
    ports: dict[str, int] = json.loads(stage.serve("hostile", "tests.faults.hostile"))
    for name, port in ports.items():
        await _befriend(stage, name, f"http://127.0.0.1:{port}/", each)
    patience = {"LEASE_SECONDS": 3 * HANGING, "WEBHOOK_TIMEOUT": HANGING, "CHANNEL_TIMEOUT": HANGING}
    worker = stage.start("worker", **patience)
    stage.start("scheduler", **patience)
    before = await _size_at_work(stage, worker)
    await stage.progress(due)
    assert (await stage.house.one(HELD_UP)).rows, "who is well had to wait for those who hang"
    delays = [row.delay for row in await stage.house.sql(STARTS, url=stage.receiver.url)]
    assert quantiles(delays, n=20)[-1] < MOST_DELAY, "who is well was begun with late"
    stage.harmed()
    await stage.drain()
    grown = psutil.Process(worker.pid).memory_info().rss - before
    assert grown < MOST_GROWTH, f"the worker grew by {grown / 1e6:.0f} MB"
    assert worker.exit_code() is None, worker.last_lines()
    await _check_ends(stage, ports, each)


async def _befriend(stage: Stage, name: str, url: str, each: int) -> None:
    """Have messages due to a harm, each to be tried once."""
    # longer ago than what is well: ahead of it in the queue
    await bulk_due(stage.house, each, to=url, ago="1 minute")
    await stage.house.sql(
        "UPDATE destinations SET name = :name, retry_schedule = '{}' WHERE config->>'url' = :url",
        name=name,
        url=url,
    )


async def _size_at_work(stage: Stage, worker: Child) -> int:
    """Return the bytes of a worker that has just begun."""
    await stage.progress(1)
    return int(psutil.Process(worker.pid).memory_info().rss)


async def _check_ends(stage: Stage, harms: dict[str, int], each: int) -> None:
    names = ", ".join(f"'{name}'" for name in harms)
    rows = await stage.house.sql(FOUND.format(names=names))
    found = {row.name: (row.status, row.outcome, row.status_code) for row in rows}
    assert found == EXPECTED
    assert {row.rows for row in rows} == {each}


SCENARIOS = (
    Scenario(
        "receivers that drip, flood, hang, reset, or answer 429",
        receive_badly,
        full={"due": 5000, "each": 50},
        quick={"due": 200, "each": 5},
        seconds=0,
        doubles_allowed=False,
    ),
)
