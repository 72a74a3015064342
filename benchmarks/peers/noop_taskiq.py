"""taskiq with a job that does nothing, on its fastest broker for Redis (a list), without a result backend."""

import os
from typing import Any

import uvloop
from taskiq import TaskiqEvents
from taskiq_redis import ListQueueBroker

from benchmarks.peers.counter import count
from benchmarks.peers.enqueuing import Way, in_turn, run, together

broker = ListQueueBroker(os.environ["REDIS_URL"])


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def say_ready(_: Any) -> None:
    """Tell the driver."""
    print("ready", flush=True)


@broker.task(task_name="noop")
async def noop(_: str) -> None:
    """Do nothing."""
    count()


ways: dict[str, Way] = {
    "usual": lambda ids: in_turn(noop.kiq, ids),
    "fast": lambda ids: together(noop.kiq, ids),
}


async def main() -> None:
    """Enqueue."""
    await broker.startup()
    await run(ways)
    await broker.shutdown()


if __name__ == "__main__":
    uvloop.run(main())
