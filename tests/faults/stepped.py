"""Runs a role of the service by a clock that is wrong: `python -m tests.faults.stepped worker --clock FILE`.

Under libfaketime there is nothing to do but to start it. Without it, the modules that read the host's clock,
ours and arq's, get another one.
"""

import datetime
import os
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from types import SimpleNamespace

import arq.utils
import arq.worker

import notifier.clock
from notifier import worker
from notifier.__main__ import main
from tests.faults.pace import keep_pace


def set_clocks(file: Path) -> None:
    """Have them read a clock that is wrong by the seconds in `file`."""

    def wrong_by() -> int:
        return int(file.read_text())

    def now() -> float:
        return time.time() + wrong_by()

    class Wrong(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> "Wrong":
            return cls.fromtimestamp(now(), tz)

    clocks = SimpleNamespace(time=now, monotonic=time.monotonic, thread_time=time.thread_time)
    for module, name, clock in (
        (notifier.clock, "datetime", Wrong),
        (notifier.clock, "time", clocks),
        (arq.worker, "datetime", Wrong),
        (arq.worker, "time", now),
        (arq.utils, "time", now),
    ):
        setattr(module, name, clock)


def run() -> None:
    """Set the clocks and the pace of sweeps, then become the role."""
    parser = ArgumentParser()
    parser.add_argument("role", choices=["worker", "scheduler"])
    parser.add_argument("--clock", type=Path, required=True)
    parser.add_argument("--sweep-every", type=float, required=True)
    given = parser.parse_args()
    if "FAKETIME_TIMESTAMP_FILE" not in os.environ:
        set_clocks(given.clock)
    keep_pace()
    worker.SWEEP_EVERY = given.sweep_every
    sys.argv = ["notifier", given.role]
    main()


if __name__ == "__main__":
    run()
