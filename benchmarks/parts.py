"""The parts that there are to measure, and what each of them is given."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from time import perf_counter

from benchmarks.results import RESULTS, keep
from benchmarks.rounds import Figure


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the benchmarks: how thorough, and where the figures go."""

    quick: bool = False
    rounds: int = 3
    results: Path = RESULTS
    began: float = field(default_factory=perf_counter)

    def pick(self, thorough: int, quick: int) -> int:
        """Return a size: of a real measurement, or of the quick form that only shows that all of it works."""
        return quick if self.quick else thorough

    def say(self, text: str) -> None:
        """Tell the person who waits what is going on."""
        sys.stderr.write(f"[{perf_counter() - self.began:6.1f} s] {text}\n")
        sys.stderr.flush()

    def keep(self, part: str, figures: Mapping[str, Figure], packages: Sequence[str] = ()) -> None:
        """Write the figures of a part (by their full names), with the versions of `packages`."""
        for name, figure in figures.items():
            self.say(f"{name}: {figure}")
        rows = {name: figure.row() for name, figure in figures.items()}
        keep(self.results, part, {"quick": self.quick, "figures": rows}, packages)


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to measure: `measure(run)` of its module does it."""

    name: str
    module: str
    says: str
    on_request: bool = False
    """Takes long: only run when it is named."""

    def measure(self, run: Run) -> None:
        """Measure and keep the figures."""
        import_module(self.module).measure(run)


PARTS = (
    Part("schedules", "benchmarks.schedules", "the next slot of a schedule"),
    Part("due", "benchmarks.due_minute", "a due minute, from the sweep to the last recorded outcome"),
    Part("api", "benchmarks.api", "the HTTP API: get, list, create"),
    Part("import", "benchmarks.importing", "many notifications at once: a file, bulk calls, POSTs"),
    Part("memory", "benchmarks.memory", "the memory of each process, at rest and at work"),
    Part("mail", "benchmarks.mail", "mails to an SMTP server, plain and with STARTTLS"),
    Part("sweep", "benchmarks.sweep", "the sweep at 5 million notifications; two planners at once"),
    Part("ledger", "benchmarks.ledger", "the ledger with 1 and 10 million deliveries", on_request=True),
    Part("queue", "benchmarks.queue_speed", "jobs into Redis, jobs through a worker, round trips"),
    Part("soak", "benchmarks.soak", "a quarter of an hour of everything at once", on_request=True),
)
