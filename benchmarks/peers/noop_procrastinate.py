"""procrastinate, on PostgreSQL, with a job that does nothing; it has a call for many jobs.

`... schema` makes its tables.
"""

import os
import sys
from typing import Any

import procrastinate
import uvloop

from benchmarks.peers.counter import count
from benchmarks.peers.enqueuing import Way, in_turn, run

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))


@app.task(name="noop")
async def noop(one: str) -> None:
    """Do nothing."""
    count()


async def enqueue(one: str) -> Any:
    """Enqueue one job."""
    return await noop.defer_async(one=one)


async def fast(ids: list[str]) -> None:
    """All in one call."""
    await noop.batch_defer_async(*({"one": one} for one in ids))


ways: dict[str, Way] = {"usual": lambda ids: in_turn(enqueue, ids), "fast": fast}


async def main() -> None:
    """Enqueue, or make the tables."""
    async with app.open_async():
        if "schema" in sys.argv:
            await app.schema_manager.apply_schema_async()
        else:
            await run(ways)


async def work() -> None:
    """Run a worker."""
    async with app.open_async():
        print("ready", flush=True)
        await app.run_worker_async(
            concurrency=30, fetch_job_polling_interval=0.1, install_signal_handlers=True
        )


if __name__ == "__main__":
    uvloop.run(work() if "worker" in sys.argv else main())
