"""One planner and two at once on the same due minute, each a process, as schedulers are.

As a program it is such a planner: `python -m benchmarks.sweep_planners DATABASE_URL REDIS_URL`.
"""

import asyncio
import sys

import asyncpg

from benchmarks.due_rows import make_due
from benchmarks.parts import Run
from benchmarks.rounds import Figure, in_turns, middle, once, ratio
from benchmarks.servers import Servers
from notifier import jobs
from notifier.embedded.child import Child
from notifier.pipeline import planner
from notifier.storage.engine import Database

URL = "http://127.0.0.1:9/nobody-listens"
BATCH = 1000
"""As shipped: NOTIFIER_SWEEP_BATCH."""

GATE = 7
"""The advisory lock that planners wait for, so that they begin together."""

NOTE = "INSERT INTO planners VALUES ($1, clock_timestamp(), $2)"
SUM = "SELECT extract(epoch FROM max(ended) - min(began)), sum(planned) FROM planners"
ROWS = """
SELECT count(*), count(*) - count(DISTINCT (notification_id, destination_id, scheduled_for)) FROM deliveries
"""
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def compare(run: Run, servers: Servers) -> dict[str, Figure]:
    """Measure one and two planners in turn; raises AssertionError if a slot is lost or doubled."""
    count = run.pick(20_000, 200)
    make_due(servers, "due", [URL], count)
    contestants = {"one": lambda: _plan(servers, count, 1), "two": lambda: _plan(servers, count, 2)}
    samples = in_turns(contestants, run.rounds, run.say)
    return {
        "planners.one": middle(samples["one"], "notifications/s"),
        "planners.two": middle(samples["two"], "notifications/s"),
        "planners.2_over_1": ratio(samples["two"], samples["one"]),
        # every run has counted them
        "planners.doubles": once(0, "slots"),
    }


def _plan(servers: Servers, count: int, planners: int) -> float:
    """Return how many notifications a second are planned and rung for."""
    servers.make_database("planned", template="due")
    servers.sql("planned", "CREATE TABLE planners (began timestamptz, ended timestamptz, planned integer)")
    children = asyncio.run(_begin_together(servers, planners))
    for child in children:
        servers.finish(child)
    ((seconds, planned),) = servers.sql("planned", SUM)
    ((rows, doubles),) = servers.sql("planned", ROWS)
    if (planned, rows, doubles) != (count, count, 0):
        raise AssertionError(f"of {count}: {planned} planned, {rows} rows, {doubles} doubles")
    return count / float(seconds)


async def _begin_together(servers: Servers, planners: int) -> list[Child]:
    """Start planners and let them go when all of them are ready."""
    connection = await asyncpg.connect(servers.database_url("planned"))
    await connection.execute("SELECT pg_advisory_lock($1)", GATE)
    children = [_start(servers, number) for number in range(planners)]
    while await connection.fetchval(WAITING) < planners:
        await asyncio.sleep(0.02)
    await connection.close()
    return children


def _start(servers: Servers, number: int) -> Child:
    program = [sys.executable, "-m", "benchmarks.sweep_planners"]
    return servers.start(
        f"planner-{number}", [*program, servers.database_url("planned"), servers.redis_url()]
    )


async def _be_planner(database_url: str, redis_url: str) -> None:
    """Plan all that is due, from the moment on at which the gate is opened."""
    own = await asyncpg.connect(database_url)
    database, queue = Database(database_url), jobs.connect(redis_url)
    async with database.transaction():
        pass  # the connection is there before the race
    await own.execute("SELECT pg_advisory_lock_shared($1)", GATE)
    began = await own.fetchval("SELECT clock_timestamp()")
    planned = await planner.sweep(database, queue, batch=BATCH)
    await own.execute(NOTE, began, planned)
    await own.close()
    await queue.aclose()
    await database.aclose()


if __name__ == "__main__":
    asyncio.run(_be_planner(*sys.argv[1:]))
