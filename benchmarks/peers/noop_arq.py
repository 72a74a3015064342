"""arq with a job that does nothing, tuned: 100 at once, asked for every 20 ms, no results kept."""

import asyncio
import os
import sys
from typing import Any

import uvloop
from arq import create_pool, func
from arq.connections import RedisSettings
from arq.worker import Worker

from benchmarks.peers.counter import count
from benchmarks.peers.enqueuing import in_turn, run, together

SERVER = RedisSettings(unix_socket_path=os.environ["REDIS_SOCKET"])


async def noop(ctx: Any, __: str) -> None:
    """Do nothing."""
    count()


async def say_ready(ctx: Any) -> None:
    """Tell the driver."""
    print("ready", flush=True)


async def main() -> None:
    """Enqueue."""
    pool = await create_pool(SERVER)

    async def enqueue(one: str) -> None:
        await pool.enqueue_job("noop", one)

    await run({"usual": lambda ids: in_turn(enqueue, ids), "fast": lambda ids: together(enqueue, ids)})


def work() -> None:
    """Run a worker until it is told to stop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        asyncio.set_event_loop(runner.get_loop())
        Worker(
            [func(noop, name="noop")],
            redis_settings=SERVER,
            on_startup=say_ready,
            max_jobs=100,
            poll_delay=0.02,
            keep_result=0,
            log_results=False,
        ).run()


if __name__ == "__main__":
    if "worker" in sys.argv:
        work()
    else:
        uvloop.run(main())
