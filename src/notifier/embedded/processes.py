"""Children that survive their supervisor can still be found, told apart from strangers, and ended.

Every child holds an exclusive lock on a file of its own, as an inherited descriptor; the kernel frees the
lock when the last process that has the descriptor is gone. So a lock that can be taken proves that nothing
of the earlier child is left (whatever a stale pid file says), and one that cannot names the process to end.
A process id alone is never trusted: it counts only together with the start time recorded beside it.
"""

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from notifier import clock
from notifier.embedded.errors import StartError

POLL_SECONDS = 0.05
KILL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Record:
    """What the lock file says about the process that holds it; `rank` orders stopping, highest first."""

    pid: int
    started: str
    stop_signal: int
    grace_seconds: float
    rank: int


def take_lock(path: Path) -> int | None:
    """Return a descriptor that holds the exclusive lock on `path`, or None while another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def await_lock(path: Path, seconds: float) -> int | None:
    """Like `take_lock`, but give the processes that hold the lock this long to end."""
    deadline = clock.monotonic() + seconds
    while (descriptor := take_lock(path)) is None and clock.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return descriptor


def write_lock(descriptor: int, text: str) -> None:
    """Replace the content of a lock file."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def write_record(descriptor: int, record: Record) -> None:
    """Note in a child's lock file how it can be found and ended."""
    write_lock(descriptor, json.dumps(asdict(record)))


def start_time(pid: int) -> str | None:
    """Return when the process started, in the system's own notation, or None if there is no such process."""
    if Path("/proc/self/stat").exists():
        try:
            # The command name may hold spaces and brackets; the start time is the 20th field after it.
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        except OSError:
            return None
    shown = subprocess.run(["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, check=False)
    return shown.stdout.decode().strip() or None


def is_held(path: Path) -> bool:
    """Say whether a living process holds the lock."""
    if not path.exists():
        return False
    descriptor = take_lock(path)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def end_all(run_folder: Path, hurried: Callable[[], bool] = lambda: False) -> None:
    """End every child whose lock in `run_folder` is held, rank after rank; `hurried` cuts the waiting short.

    Raises StartError if one cannot be ended.
    """
    held = [path for path in sorted(run_folder.glob("*.lock")) if is_held(path)]
    records = {path: _read_record(path) for path in held}
    for rank in sorted({record.rank for record in records.values() if record}, reverse=True):
        _end({path: record for path, record in records.items() if record and record.rank == rank}, hurried)
    _wait_free(held, KILL_SECONDS)
    for path in held:
        if is_held(path):
            raise StartError(f"An earlier process of this folder does not end ({path.stem}); see {path}")


def _end(records: dict[Path, Record], hurried: Callable[[], bool]) -> None:
    for record in records.values():
        _signal(record, record.stop_signal)
    for path, record in records.items():
        if not _wait_free([path], record.grace_seconds, hurried if record.rank > 0 else lambda: False):
            _signal(record, signal.SIGKILL)
    _wait_free(records, KILL_SECONDS)


def _signal(record: Record, number: int) -> None:
    if start_time(record.pid) == record.started:
        try:
            os.kill(record.pid, number)
        except ProcessLookupError:
            return


def _wait_free(paths: Iterable[Path], seconds: float, hurried: Callable[[], bool] = lambda: False) -> bool:
    deadline = clock.monotonic() + seconds
    while any(is_held(path) for path in paths):
        if clock.monotonic() > deadline or hurried():
            return False
        time.sleep(POLL_SECONDS)
    return True


def _read_record(path: Path) -> Record | None:
    try:
        return Record(**json.loads(path.read_text()))
    except (ValueError, TypeError):
        return None
