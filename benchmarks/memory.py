"""The memory of each process of the service: at rest, and at most while it works.

At rest is a while after the start, with nothing due. Then the scheduler and the worker work off a due minute
of webhooks, and the API answers lists of 50. PSS is the fair share of pages that several processes share.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.api import load
from benchmarks.api_servers import AUTHORIZED
from benchmarks.due_rows import call, free_port, make_due
from benchmarks.memory_samples import Memory, read, sampling
from benchmarks.parts import Run
from benchmarks.receiver import open_receiver
from benchmarks.rounds import Figure, once
from benchmarks.servers import Servers, open_servers, wait_until
from benchmarks.service import outcomes, running
from notifier.embedded.checks import answers
from notifier.embedded.child import Child

EMPTY, DUE = "memory_empty", "memory_due"
LIST = [{"method": "GET", "path": "/v1/notifications?limit=50", "headers": AUTHORIZED}]

Found = dict[str, Memory]


def measure(run: Run) -> None:
    """Measure the API, the scheduler and one worker."""
    count = run.pick(20_000, 50)
    with open_servers() as servers, open_receiver(servers) as receiver:
        make_due(servers, DUE, receiver.urls(1), count)
        servers.make_database(EMPTY)
        servers.migrate(EMPTY)
        found = at_rest(run, servers) | at_work(run, servers, count)
    run.keep("memory", dict(figures(found)), ("uvicorn", "aiohttp", "sqlalchemy"))


def at_rest(run: Run, servers: Servers) -> Found:
    """Return what the processes have while nothing is due."""
    with running(servers, EMPTY, workers=1) as (worker,), serving(servers, EMPTY) as (api, port):
        call(f"http://127.0.0.1:{port}", "GET", "/v1/notifications")
        scheduler = servers.service("scheduler", EMPTY)
        wait_until(
            lambda: servers.sql(EMPTY, "SELECT 1 FROM heartbeats WHERE name = 'scheduler'"),
            what="a sweep",
            of=scheduler,
        )
        time.sleep(run.pick(15, 0))
        found = {"api": read(api), "worker": read(worker), "scheduler": read(scheduler)}
        servers.stop(scheduler)
    return {f"{name}.rest": memory for name, memory in found.items()}


def at_work(run: Run, servers: Servers, count: int) -> Found:
    """Return what they have at most while they work."""
    with running(servers, DUE, workers=1) as (worker,), serving(servers, DUE) as (api, port):
        scheduler = servers.service("scheduler", DUE)
        children = {"api": api, "worker": worker, "scheduler": scheduler}
        with sampling(children, every=0.25) as samples:
            wait_until(lambda: outcomes(servers, DUE) >= count, 600, "all outcomes", of=scheduler)
            load(run, port, LIST, run.pick(32, 4))
        servers.stop(scheduler)
    return {f"{name}.work": samples.peak(name) for name in children}


@contextmanager
def serving(servers: Servers, database: str) -> Iterator[tuple[Child, int]]:
    """Yield a running API and its port."""
    port = free_port()
    api = servers.service("api", database, HOST="127.0.0.1", PORT=port)
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), of=api)
        yield api, port
    finally:
        servers.stop(api)


def figures(found: Found) -> Iterator[tuple[str, Figure]]:
    """Yield megabytes by process and state."""
    for name, memory in found.items():
        yield f"memory.{name}.pss", once(memory.pss, "MB")
        yield f"memory.{name}.rss", once(memory.rss, "MB")
