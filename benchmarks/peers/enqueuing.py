"""Times the ways of a library to enqueue many jobs: `python -m <module> <way> <count>`."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

CHUNK = 500
"""Enqueued at once where a library has no call for many: more does not make it faster."""

Way = Callable[[list[str]], Awaitable[None] | None]


async def together(enqueue: Callable[[str], Awaitable[Any]], ids: list[str]) -> None:
    """Enqueue concurrently."""
    for start in range(0, len(ids), CHUNK):
        await asyncio.gather(*map(enqueue, ids[start : start + CHUNK]))


async def in_turn(enqueue: Callable[[str], Awaitable[Any]], ids: list[str]) -> None:
    """Enqueue one after the other."""
    for one in ids:
        await enqueue(one)


async def run(ways: Mapping[str, Way]) -> None:
    """Enqueue the given number of jobs in the given way, and print the seconds that it took."""
    way, ids = ways[sys.argv[1]], [f"{n:032x}" for n in range(int(sys.argv[2]))]
    began = time.perf_counter()
    done = way(ids)
    if done is not None:
        await done
    print(f"took {time.perf_counter() - began}", flush=True)
