"""The service's own processes on one database, and the due minute that they work off."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from benchmarks.servers import Servers, wait_until
from notifier.embedded.child import Child


@contextmanager
def running(servers: Servers, database: str, workers: int, **settings: Any) -> Iterator[list[Child]]:
    """Yield workers that are ready to work; the queue was empty when they started."""
    with redis.Redis.from_url(servers.redis_url()) as queue:
        queue.flushdb()
    children = [
        servers.service("worker", database, name=f"worker-{number}", **settings) for number in range(workers)
    ]
    try:
        for number, child in enumerate(children, 1):
            wait_until(lambda number=number: connected(servers, database) >= number, of=child)  # type: ignore[misc]
        yield children
    finally:
        servers.stop(*children)


def work_off(servers: Servers, database: str, count: int, seconds: float = 600) -> float:
    """Start a scheduler, which sweeps at once; return the seconds from then to the last outcome's record.

    Raises AssertionError unless all `count` deliveries were made, with one attempt each.
    """
    scheduler = servers.service("scheduler", database)
    try:
        wait_until(lambda: outcomes(servers, database) >= count, seconds, "all outcomes", of=scheduler)
    finally:
        servers.stop(scheduler)
    (row,) = servers.sql(database, SUMMARY)
    if (row["planned"], row["delivered"], row["attempts"]) != (count, count, count):
        raise AssertionError(f"not {count} deliveries with one attempt each: {dict(row)}")
    return float(row["seconds"])


SUMMARY = """
SELECT count(*) AS planned, count(*) FILTER (WHERE status = 'delivered') AS delivered,
       sum(attempts_made) AS attempts, extract(epoch FROM max(finished_at) - min(created_at)) AS seconds
FROM deliveries
"""


def outcomes(servers: Servers, database: str) -> int:
    """Return how many deliveries have come to an end."""
    (row,) = servers.sql(database, "SELECT count(*) AS n FROM deliveries WHERE finished_at IS NOT NULL")
    return int(row["n"])


def connected(servers: Servers, database: str) -> int:
    """Return how many processes have looked at the database: each then keeps a connection."""
    (row,) = servers.sql(
        "postgres", f"SELECT count(*) AS n FROM pg_stat_activity WHERE datname = '{database}'"
    )
    return int(row["n"])
