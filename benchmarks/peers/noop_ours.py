"""Our queue with a job that does nothing: the shipped worker, with that in place of the delivery."""

import asyncio
import sys
from typing import Any
from uuid import UUID

import uvloop
from arq import func

from benchmarks.peers.counter import count
from benchmarks.peers.enqueuing import run
from notifier import jobs
from notifier.settings import Settings
from notifier.worker import make_worker

PROJECT = UUID(int=0)


async def noop(ctx: Any, __: str, ___: str) -> None:
    """Do nothing."""
    count()


async def say_ready(ctx: Any) -> None:
    """Tell the driver."""
    print("ready", flush=True)


async def enqueue(ids: list[str]) -> None:
    """Ring for all, as the planner does after its commit."""
    queue = jobs.connect(Settings().redis_url)
    await queue.ring([jobs.Job(PROJECT, UUID(one), 1) for one in ids])
    await queue.aclose()


def work() -> None:
    """Run a worker until it is told to stop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        asyncio.set_event_loop(runner.get_loop())
        worker = make_worker(Settings())
        worker.functions = {jobs.DELIVER: func(noop, name=jobs.DELIVER, max_tries=1)}
        worker.on_startup, worker.on_shutdown = say_ready, None
        worker.run()


if __name__ == "__main__":
    if "worker" in sys.argv:
        work()
    else:
        uvloop.run(run({"fast": enqueue}))
