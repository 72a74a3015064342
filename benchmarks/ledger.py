"""The ledger with a million rows and with many: planning, sending, reading, and deleting what is old.

WAL and CPU time are PostgreSQL's, for one delivery from its slot to its outcome.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from time import perf_counter
from typing import Any
from uuid import UUID

import psutil  # type: ignore[import-untyped]
from sqlalchemy import text

from benchmarks.ledger_fill import fill
from benchmarks.parts import Run
from benchmarks.rounds import Figure, Samples, middle, once, ratio
from benchmarks.servers import Servers, open_servers
from notifier.clock import new_id
from notifier.domain.delivery import Outcome, Status
from notifier.domain.retry import Verdict
from notifier.pipeline import planner, retention
from notifier.storage import claims, deliveries, outcomes
from notifier.storage.engine import Database, Session
from notifier.storage.known_destinations import KnownDestinations

BATCH = 500
LEASE = 75.0
SAMPLE = """
SELECT project_id, {key} AS id FROM {table} TABLESAMPLE SYSTEM ({percent}) ORDER BY random() LIMIT 300
"""
MAKE_DUE = """
UPDATE notifications SET next_due_at = now() - interval '1 second'
WHERE (project_id, id) IN (SELECT project_id, id FROM notifications ORDER BY random() LIMIT {count})
"""
WAITING = text("SELECT project_id, id, destination_id FROM deliveries WHERE status = 'pending' ORDER BY id")
PIDS = "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
WAL = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS bytes"


def measure(run: Run) -> None:
    """Measure, and keep the figures."""
    sizes = {"1m": (1_000_000, 100_000), "10m": (10_000_000, 1_000_000)}
    if run.quick:
        sizes = {"1m": (500, 100), "10m": (1000, 100)}
    figures: dict[str, Figure] = {}
    with open_servers() as servers:
        samples = {name: _at_size(run, servers, name, *size) for name, size in sizes.items()}
    for name, taken in samples.items():
        figures |= {f"ledger.{what}.{name}": middle(taken[what], UNITS[what]) for what in UNITS}
    for what in ("plan", "send", "get"):
        figures[f"ledger.{what}.10m_over_1m"] = ratio(samples["10m"][what], samples["1m"][what])
    figures["ledger.rows"] = once(sizes["10m"][0], "deliveries")
    run.keep("ledger", figures)


UNITS = {
    "plan": "us per delivery",
    "send": "us per delivery",
    "get": "ms",
    "list": "ms",
    "wal": "bytes per delivery",
    "cpu": "us per delivery",
    "retain": "deliveries/s",
}


def _at_size(run: Run, servers: Servers, name: str, rows: int, notifications: int) -> Samples:
    database = f"ledger{name}"
    began = perf_counter()
    fill(servers, database, rows, notifications)
    run.say(f"{rows:,} deliveries made in {perf_counter() - began:.0f} s")
    samples: Samples = {what: [] for what in UNITS}
    count = run.pick(20_000, 50)
    for number in range(run.rounds):
        for what, value in asyncio.run(_round(servers, database, count, run.pick(1, 100))).items():
            samples[what].append(value)
        run.say(
            f"{name}, round {number + 1}: { ({what: round(taken[-1]) for what, taken in samples.items()}) }"
        )
    return samples


async def _round(servers: Servers, database: str, count: int, percent: int) -> dict[str, float]:
    """Plan and send `count` notifications chosen by lot, then read, then delete as many of the oldest."""
    opened = Database(servers.database_url(database), pool_size=1)
    try:
        async with opened.transaction() as session:
            await session.execute(text(MAKE_DUE.format(count=count)))
        await asyncio.to_thread(servers.sql, database, "CHECKPOINT")
        before = await asyncio.to_thread(_spent, servers, database)
        planned = await _seconds(planner.sweep(opened, None, batch=1000))
        sent = await _seconds(_send_all(opened))
        after = await asyncio.to_thread(_spent, servers, database)
        return {
            "plan": planned / count * 1e6,
            "send": sent / count * 1e6,
            "wal": (after[0] - before[0]) / count,
            "cpu": (after[1] - before[1]) / count * 1e6,
            "get": await _read(opened, percent, "deliveries", "id", _get),
            "list": await _read(opened, percent, "notification_destinations", "notification_id", _list),
            "retain": await _retain(opened),
        }
    finally:
        await opened.aclose()


def _spent(servers: Servers, database: str) -> tuple[float, float]:
    """Return the bytes of WAL written and the CPU seconds used by all of PostgreSQL's processes."""
    ((wal,),) = servers.sql(database, WAL)
    times = [psutil.Process(row["pid"]).cpu_times() for row in servers.sql(database, PIDS)]
    return float(wal), sum(one.user + one.system for one in times)


async def _seconds(work: Awaitable[object]) -> float:
    began = perf_counter()
    await work
    return perf_counter() - began


async def _send_all(database: Database) -> None:
    """Claim and finish all that waits, as workers do in a due minute."""
    async with database.transaction() as session:
        rows = (await session.execute(WAITING)).all()
    for start in range(0, len(rows), BATCH):
        await _send(database, rows[start : start + BATCH])


async def _send(database: Database, rows: Sequence[Any]) -> None:
    wanted, token = [(row.project_id, row.id) for row in rows], new_id()
    async with database.transaction() as session:
        await claims.claim(session, wanted, token, LEASE, KnownDestinations())
    delivered = Verdict(Status.DELIVERED)
    finished = [
        outcomes.Finished(row.project_id, row.id, row.destination_id, token, 1, OK, delivered, 30)
        for row in rows
    ]
    async with database.transaction() as session:
        if not all(await outcomes.finish(session, finished)):
            raise AssertionError("a lease was lost")


OK = Outcome.delivered(200)


async def _read(
    database: Database,
    percent: int,
    table: str,
    key: str,
    read: Callable[[Session, UUID, UUID], Awaitable[object]],
) -> float:
    """Return the median of the milliseconds that a read takes, for rows from all over the table."""
    async with database.transaction() as session:
        sample = text(SAMPLE.format(table=table, key=key, percent=percent))
        rows = (await session.execute(sample)).all()
    taken = []
    for row in rows:
        began = perf_counter()
        async with database.transaction() as session:
            await read(session, row.project_id, row.id)
        taken.append((perf_counter() - began) * 1000)
    return median(taken)


async def _get(session: Session, project_id: UUID, delivery_id: UUID) -> None:
    await deliveries.get(session, project_id, delivery_id)
    await deliveries.attempts_of(session, project_id, delivery_id)


async def _list(session: Session, project_id: UUID, notification_id: UUID) -> None:
    filters = {"notification_id": notification_id}
    await deliveries.page(session, project_id, filters=filters, after=None, limit=50)


async def _retain(database: Database) -> float:
    """Return how many deliveries a second go, without a rest, where a day too many is kept."""
    async with database.transaction() as session:
        oldest = text("SELECT extract(day FROM now() - min(finished_at))::int FROM deliveries")
        days = (await session.execute(oldest)).scalar_one()
    began = perf_counter()
    removed = await retention.run(database, max(days, 1), rest=0)
    return removed.deliveries / (perf_counter() - began)
