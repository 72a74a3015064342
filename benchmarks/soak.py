"""A quarter of an hour of everything at once on the real processes: is anything lost, late, or growing?

An API, a scheduler and two workers; users create (one by one and many at once), edit, pause, resume and read
while some 300 messages per second go out, in waves of a minute's. The receiver's log is the oracle: it is
compared with the slots that arithmetic says must have come, and with the ledger. `SOAK_SECONDS` says how long
(900).
"""

import asyncio
import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median, quantiles

import aiohttp

from benchmarks.memory import serving
from benchmarks.memory_samples import Samples, sampling
from benchmarks.parts import Run
from benchmarks.rounds import Figure, once
from benchmarks.servers import Servers, open_servers
from benchmarks.service import running
from benchmarks.soak_account import Account
from benchmarks.soak_receiver import SoakReceiver, open_soak_receiver
from benchmarks.soak_users import Users
from notifier.clock import utc_now

DATABASE = "soak"
SEED = 20261123
CALLS_PER_SECOND = 30.0
DESTINATIONS = 20
DRAIN_SECONDS = 130.0
WARM_UP = 0.2
"""The part of the time in which caches and pools may still fill."""

UNSETTLED = "SELECT count(*) AS n FROM deliveries WHERE finished_at IS NULL AND scheduled_for <= '{until}'"
DELIVERED = """
SELECT message_id FROM deliveries WHERE status = 'delivered' AND starts_with(message_id, 'msg_{digit}')
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What a soak is judged by."""

    users: Users
    account: Account
    missing: int
    unrecorded: int
    unsettled: int
    seconds: float
    memory: Samples


def measure(run: Run) -> None:
    """Soak, judge, keep."""
    seconds = run.pick(int(os.environ.get("SOAK_SECONDS", "900")), 3)
    run.say(f"{seconds} s, seed {SEED}")
    with open_servers() as servers, open_soak_receiver(servers) as receiver:
        servers.make_database(DATABASE)
        servers.migrate(DATABASE)
        found = soak(run, servers, receiver, seconds)
    run.keep("soak", dict(figures(found)), ("uvicorn", "aiohttp", "sqlalchemy"))


def soak(run: Run, servers: Servers, receiver: SoakReceiver, seconds: float) -> Found:
    """Run the service and its users for that long, then wait for what is still under way."""
    with running(servers, DATABASE, workers=2) as workers, serving(servers, DATABASE) as (api, port):
        children = {"api": api, **{child.name: child for child in workers}}
        if not run.quick:
            children["scheduler"] = servers.service("scheduler", DATABASE)
        with sampling(children, every=run.pick(5, 1)) as memory:
            users = asyncio.run(use(run, receiver.urls(DESTINATIONS), port, seconds))
        until = utc_now()
        if run.quick:  # its first sweep finds all of it, so that nobody has to wait for the full minute
            children["scheduler"] = servers.service("scheduler", DATABASE)
        account = Account({**users.steady, **users.fresh})
        drain(run, servers, receiver, users, account, until)
        unrecorded = sum(compare(servers, receiver, account))
        missing = account.missing(users.must_arrive(until))
        left = unsettled(servers, until)
        found = Found(users, account, missing, unrecorded, left, seconds, memory)
        servers.stop(children["scheduler"])
    return found


async def use(run: Run, to: Sequence[str], port: int, seconds: float) -> Users:
    """Let the users do what they do for that long; return them."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        users = Users(client, to, random.Random(SEED))
        await users.settle(steady=run.pick(29_000, 40), subjects=run.pick(1_000, 20))
        run.say(f"users are at work: {len(users.steady) + len(users.subjects)} notifications repeat")
        await users.keep_busy(utc_now() + timedelta(seconds=seconds), CALLS_PER_SECOND)
    return users


def drain(
    run: Run, servers: Servers, receiver: SoakReceiver, users: Users, account: Account, until: datetime
) -> None:
    """Wait until all is there and settled; give up without a word, for the figures will tell."""
    run.say(f"{sum(users.calls.values())} calls: {dict(users.calls)}; waiting for the last messages")
    deadline = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < deadline:
        account.take(receiver.new())
        if not account.missing(users.must_arrive(until)) and not unsettled(servers, until):
            return
        time.sleep(1)


def unsettled(servers: Servers, until: datetime) -> int:
    """Return how many deliveries of slots up to then have come to no end."""
    return int(servers.sql(DATABASE, UNSETTLED.format(until=until.isoformat()))[0]["n"])


def compare(servers: Servers, receiver: SoakReceiver, account: Account) -> Iterator[int]:
    """Yield how many messages of each sixteenth of the ledger are called delivered and never came."""
    for digit in "0123456789abcdef":
        rows = servers.sql(DATABASE, DELIVERED.format(digit=digit))
        account.take(receiver.new())
        yield account.unrecorded(row["message_id"] for row in rows)


def figures(found: Found) -> Iterator[tuple[str, Figure]]:
    """Yield what is promised, and what it was measured with."""
    lags = quantiles(found.account.lags, n=100, method="inclusive")
    growth = {name: growth_percent([one.rss for one in of]) for name, of in found.memory.of.items()}
    yield "soak.lost", once(found.missing + found.unrecorded + found.unsettled, "messages")
    yield "soak.doubled", once(found.account.doubled, "messages")
    yield "soak.lag_p50_s", once(lags[49], "s")
    yield "soak.lag_p99_s", once(lags[98], "s")
    yield "soak.memory_growth_percent", once(max(growth.values()), "%")
    for name, percent in growth.items():
        yield f"soak.memory_growth_percent.{name}", once(percent, "%")
    yield "soak.calls_per_s", once(sum(found.users.calls.values()) / found.seconds, "/s")
    yield "soak.messages_per_s", once(found.account.per_second, "/s")
    yield "soak.minutes", once(found.seconds / 60, "min")


def growth_percent(samples: Sequence[float]) -> float:
    """Return by how much the last quarter's median is above the first's, after the warm-up."""
    warm = samples[int(len(samples) * WARM_UP) :]
    quarter = max(1, len(warm) // 4)
    return (median(warm[-quarter:]) / median(warm[:quarter]) - 1) * 100
