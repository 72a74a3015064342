"""Runs a role of the service that ends itself: `python -m tests.faults.armed worker --kill-at after_claim`.

As if by `kill -9`, when the place (of `notifier.failpoints`) is reached for the `--nth` time.
"""

import asyncio
import os
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable

from notifier import failpoints
from notifier.__main__ import main
from tests.faults.pace import keep_pace

BYTES_ON_THE_WAY_SECONDS = 0.01
"""The place stands just before the request's bytes are written; receivers take longer to answer."""


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_soon() -> None:
    asyncio.get_running_loop().call_later(BYTES_ON_THE_WAY_SECONDS, _die)


def killer(place: str, nth: int) -> Callable[[str], None]:
    """Return what ends the process when `place` is reached for the `nth` time."""
    end = _die_soon if place == failpoints.REQUEST_LEFT else _die
    times = 0

    def act(name: str) -> None:
        nonlocal times
        times += name == place
        if name == place and times == nth:
            end()

    return act


def run() -> None:
    """Arm the place, then become the role."""
    parser = ArgumentParser()
    parser.add_argument("role", choices=["worker", "scheduler"])
    parser.add_argument("--kill-at", required=True, choices=failpoints.NAMES)
    parser.add_argument("--nth", type=int, default=1)
    given = parser.parse_args()
    keep_pace()
    failpoints.arm(killer(given.kill_at, given.nth))
    sys.argv = ["notifier", given.role]
    main()


if __name__ == "__main__":
    run()
