"""SAQ with a job that does nothing; 100 at once; no results, no retries."""

import os
from typing import Any

import uvloop
from redis.asyncio import from_url
from saq.queue.redis import RedisQueue

from benchmarks.peers.counter import count
from benchmarks.peers.enqueuing import Way, in_turn, run, together

# its command takes asyncio's own loop, which is slower
uvloop.install()
queue = RedisQueue(from_url(os.environ["REDIS_URL"]))


async def noop(_: Any, *, one: str) -> None:
    """Do nothing."""
    count()


async def say_ready(_: Any) -> None:
    """Tell the driver."""
    print("ready", flush=True)


settings = {"queue": queue, "functions": [noop], "concurrency": 100, "startup": say_ready}


async def enqueue(one: str) -> None:
    """Enqueue one job."""
    await queue.enqueue("noop", one=one, ttl=-1, retries=0)


ways: dict[str, Way] = {
    "usual": lambda ids: in_turn(enqueue, ids),
    "fast": lambda ids: together(enqueue, ids),
}

if __name__ == "__main__":
    uvloop.run(run(ways))
