"""Ends the children of a killed supervisor: `python -m notifier.embedded.guard DATA_DIR PID SECONDS`.

Its standard input is a pipe that only the supervisor holds open, so the end of that pipe is the end of the
supervisor, however it came about; this works on every system. A supervisor that stops in good order has no
children left by then.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from notifier import clock
from notifier.embedded import sockets
from notifier.embedded.folder import GUARD
from notifier.embedded.processes import POLL_SECONDS, end_all, take_lock, write_lock

DYING_SECONDS = 30.0
"""How long a supervisor may take to die: its lock may outlive its pipe."""


def start(folder: Path, dying_seconds: float = DYING_SECONDS) -> subprocess.Popen[bytes]:
    """Start the guard of the calling process's children; closing its `stdin` ends them, and then it."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__, str(folder), str(os.getpid()), str(dying_seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def dismiss(guard: subprocess.Popen[bytes]) -> None:
    """Let the guard do what is left to do, and wait for it."""
    if guard.stdin:
        guard.stdin.close()
    guard.wait()


def main() -> None:
    """Wait for the end of the supervisor, then take its place for as long as the ending takes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    folder = Path(sys.argv[1])
    lock = _take_over(folder / "lock", sys.argv[2], float(sys.argv[3])) if folder.exists() else None
    if lock is None:  # the folder is gone, or a new supervisor is at work, and it ends what it finds
        return
    write_lock(lock, GUARD)
    end_all(folder / "run")
    sockets.remove(folder / "run")
    os.close(lock)


def _take_over(path: Path, supervisor: str, dying_seconds: float) -> int | None:
    """Return the held lock of the folder, or None if a new supervisor has it."""
    # The kernel closes the files of a killed process one by one: its pipe may end before its lock is free.
    deadline = clock.monotonic() + dying_seconds
    while (lock := take_lock(path)) is None:
        if path.read_text() not in ("", supervisor) or clock.monotonic() > deadline:
            return None
        time.sleep(POLL_SECONDS)
    return lock


if __name__ == "__main__":
    main()
