"""The sweep at 10,000, 1 million and 5 million notifications, and two planners at once.

Idle: nothing is due; a whole sweep, as it runs every minute. Claim: 1,000 are due, are locked, and let go.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from statistics import median
from time import perf_counter

from benchmarks import sweep_planners
from benchmarks.due_rows import make_due
from benchmarks.parts import Run
from benchmarks.rounds import Figure, in_turns, middle, ratio
from benchmarks.servers import Servers, open_servers
from notifier.pipeline import planner
from notifier.storage import planning
from notifier.storage.engine import Database

DUE = 1000
"""How many are due where claiming is measured."""

# Copies of the only notification, due within the coming month. Nothing but the sweep reads them, so they have
# neither revisions nor destinations; the foreign keys are not looked at, which saves most of the time.
FILL = """
SET session_replication_role = replica;
SET synchronous_commit = off;
INSERT INTO notifications
  (project_id, id, title, body, data, schedule, anchor_at, drift_seconds, next_due_at, updated_at)
SELECT project_id, uuidv7(), title, body, data, schedule, anchor_at, drift_seconds,
  now() + interval '1 hour' + random() * interval '30 days', updated_at
FROM notifications, generate_series(2, {count})
"""
NONE_DUE = "UPDATE notifications SET next_due_at = now() + interval '1 day' WHERE next_due_at <= now()"
SOME_DUE = f"""
UPDATE notifications SET next_due_at = now() - interval '1 second'
WHERE (project_id, id) IN (SELECT project_id, id FROM notifications ORDER BY next_due_at DESC LIMIT {DUE})
"""


def measure(run: Run) -> None:
    """Measure, and keep the figures."""
    sizes = {"10k": 10_000, "1m": 1_000_000, "5m": 5_000_000}
    if run.quick:
        sizes = {"10k": 1_000, "1m": 2_000, "5m": 3_000}
    with open_servers() as servers:
        figures = {**_at_sizes(run, servers, sizes), **sweep_planners.compare(run, servers)}
    run.keep("sweep", figures)


def _at_sizes(run: Run, servers: Servers, sizes: Mapping[str, int]) -> dict[str, Figure]:
    for name, count in sizes.items():
        began = perf_counter()
        _fill(servers, f"n{name}", count)
        run.say(f"{count:,} notifications made in {perf_counter() - began:.0f} s")
    # many short rounds: what else the machine does shall not fall on one size alone
    rounds = run.rounds * run.pick(5, 1)
    sweeps = {name: partial(_idle, servers, f"n{name}", run.pick(50, 5)) for name in sizes}
    idle = in_turns(sweeps, rounds, run.say)
    for name in sizes:
        servers.sql(f"n{name}", SOME_DUE)
    claims = {name: partial(_claim, servers, f"n{name}", run.pick(10, 2)) for name in sizes}
    claim = in_turns(claims, rounds, run.say)
    return {
        **{f"sweep_idle.{name}": middle(taken, "ms") for name, taken in idle.items()},
        "sweep_idle.5m_over_1m": ratio(idle["5m"], idle["1m"]),
        **{f"sweep_claim_{DUE}.{name}": middle(taken, "ms") for name, taken in claim.items()},
        f"sweep_claim_{DUE}.5m_over_1m": ratio(claim["5m"], claim["1m"]),
    }


def _fill(servers: Servers, database: str, count: int) -> None:
    make_due(servers, database, [sweep_planners.URL], 1)
    servers.sql(database, FILL.format(count=count))
    servers.sql(database, NONE_DUE)
    servers.sql(database, "VACUUM ANALYZE")
    servers.sql(database, "CHECKPOINT")


def _idle(servers: Servers, database: str, turns: int) -> float:
    """Return the median of the milliseconds that a sweep takes when there is nothing to do."""
    return asyncio.run(_timed(servers.database_url(database), turns, _sweep))


def _claim(servers: Servers, database: str, turns: int) -> float:
    """Return the median of the milliseconds that it takes to lock and read what is due."""
    return asyncio.run(_timed(servers.database_url(database), turns, _take))


async def _sweep(database: Database) -> None:
    if await planner.sweep(database, None, batch=DUE):
        raise AssertionError("something was due")


async def _take(database: Database) -> None:
    async with database.transaction() as session:
        if len(await planning.take_due(session, DUE)) != DUE:
            raise AssertionError(f"not {DUE} were due")


async def _timed(url: str, turns: int, work: Callable[[Database], Awaitable[None]]) -> float:
    database = Database(url, pool_size=1)
    taken = []
    for _ in range(turns + 3):
        began = perf_counter()
        await work(database)
        taken.append((perf_counter() - began) * 1000)
    await database.aclose()
    # the first ones make connections and plans
    return median(taken[3:])
