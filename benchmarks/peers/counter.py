"""Counts the jobs that ran, in a file per process, where the driver can watch the counts grow."""

import mmap
import os
import struct
import threading
from pathlib import Path

FOLDER = "COUNTS"
SIZE = 8


class Counter:
    """Counts this process's jobs; costs well under a microsecond. A forked process counts for itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0

    def __call__(self) -> None:
        """Count one more."""
        with self._lock:
            if self._pid != os.getpid():
                self._open()
            self._count += 1
            struct.pack_into("Q", self._memory, 0, self._count)

    def _open(self) -> None:
        self._pid, self._count = os.getpid(), 0
        path = Path(os.environ[FOLDER], str(self._pid))
        path.write_bytes(bytes(SIZE))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), SIZE)


def total(folder: Path) -> int:
    """Return how many jobs all processes have run."""
    return sum(struct.unpack("Q", path.read_bytes().ljust(SIZE, b"\0"))[0] for path in folder.iterdir())


count = Counter()
