"""The memory of processes, read by a thread every so often."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil  # type: ignore[import-untyped]

from notifier.embedded.child import Child

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes of one process: what is resident, and its share of it (PSS; on macOS what is its alone)."""

    rss: float
    pss: float


@dataclass(slots=True)
class Samples:
    """What was read so far, by the process's name, oldest first."""

    of: dict[str, list[Memory]] = field(default_factory=dict)

    def peak(self, name: str) -> Memory:
        """Return the most that a process had, of each measure."""
        return Memory(max(one.rss for one in self.of[name]), max(one.pss for one in self.of[name]))


def read(child: Child) -> Memory:
    """Return what a process has now. Raises psutil.NoSuchProcess when it has ended."""
    info = psutil.Process(child.pid).memory_full_info()
    return Memory(info.rss / MB, getattr(info, "pss", info.uss) / MB)


@contextmanager
def sampling(children: Mapping[str, Child], every: float) -> Iterator[Samples]:
    """Yield the samples, taken now, every so many seconds, and at the end."""
    samples, over = Samples({name: [] for name in children}), threading.Event()

    def look() -> None:
        for name, child in children.items():
            with suppress(psutil.NoSuchProcess):
                samples.of[name].append(read(child))

    def watch() -> None:
        while not over.wait(every):
            look()

    look()
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()
        look()
