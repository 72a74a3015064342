"""Runs a role of the service at the pace of its stage: `python -m tests.faults.pace worker`.

As delivered, there is a sweep each minute, and what Redis has lost is rung for again after half a minute. In
the quick form, where leases are short, both come as soon as those end; the stage says so in the environment.
"""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Mapping

from notifier import worker
from notifier.__main__ import main
from notifier.storage import rescue

SECONDS = "FAULTS_PACE_SECONDS"
AS_DELIVERED: Mapping[str, str] = {}


def every(seconds: float) -> Mapping[str, str]:
    """Return an environment in which sweeps and repeated rings come after so many seconds."""
    return {SECONDS: str(seconds)}


def keep_pace() -> None:
    """Do as the environment says."""
    if SECONDS in os.environ:
        seconds = float(os.environ[SECONDS])
        rescue.RING_AGAIN_AFTER_SECONDS = min(seconds, rescue.RING_AGAIN_AFTER_SECONDS)
        worker.SWEEP_EVERY = min(seconds, worker.SWEEP_EVERY)


def run() -> None:
    """Set the pace, then become the role."""
    parser = ArgumentParser()
    parser.add_argument("role", choices=["worker", "scheduler"])
    role = parser.parse_args().role
    keep_pace()
    sys.argv = ["notifier", role]
    main()


if __name__ == "__main__":
    run()
