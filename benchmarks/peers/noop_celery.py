"""Celery with a job that does nothing. Fast: no results, no events, one producer for all, no retry policy."""

import asyncio
import os

from celery import Celery
from celery.signals import worker_process_init

from benchmarks.peers.counter import count
from benchmarks.peers.enqueuing import run

app = Celery("noop", broker=os.environ["BROKER_URL"])
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=128, worker_send_task_events=False)


@worker_process_init.connect  # type: ignore[untyped-decorator]
def say_ready(**_: object) -> None:
    """Tell the driver."""
    print("ready", flush=True)


@app.task(name="noop")  # type: ignore[untyped-decorator]
def noop(_: str) -> None:
    """Do nothing."""
    count()


def usual(ids: list[str]) -> None:
    """As everybody does it."""
    for one in ids:
        noop.delay(one)


def fast(ids: list[str]) -> None:
    """As its guide has it for many: one producer held for all of them."""
    with app.producer_pool.acquire(block=True) as producer:
        for one in ids:
            noop.apply_async((one,), producer=producer, retry=False)


if __name__ == "__main__":
    asyncio.run(run({"usual": usual, "fast": fast}))
