"""dramatiq with a job that does nothing. Its only ways to enqueue send one message at a time."""

import asyncio
import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers.counter import count
from benchmarks.peers.enqueuing import run


class Ready(dramatiq.Middleware):
    """Tells the driver."""

    def after_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Say it."""
        print("ready", flush=True)


broker = RedisBroker(url=os.environ["REDIS_URL"])
broker.add_middleware(Ready())
dramatiq.set_broker(broker)


@dramatiq.actor(max_retries=0)
def noop(_: str) -> None:
    """Do nothing."""
    count()


def usual(ids: list[str]) -> None:
    """As everybody does it."""
    for one in ids:
        noop.send(one)


def fast(ids: list[str]) -> None:
    """As a group."""
    dramatiq.group([noop.message(one) for one in ids]).run()


if __name__ == "__main__":
    asyncio.run(run({"usual": usual, "fast": fast}))
