"""Ends the children of a supervisor that was killed: `python -m notifier.embedded.guard DATA_DIR`.

Its standard input is a pipe that only the supervisor holds open, so the end of that pipe is the end of the
supervisor, however it came about; this works on every system. A supervisor that stops in good order has no
children left by then.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from notifier.embedded import sockets
from notifier.embedded.folder import GUARD
from notifier.embedded.processes import end_all, take_lock, write_lock


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start the guard of the calling process's children; closing its `stdin` ends them, and then it."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__, str(folder)],
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
    lock = take_lock(folder / "lock") if folder.exists() else None
    if lock is None:  # the folder is gone, or a new supervisor is at work, and it ends what it finds
        return
    write_lock(lock, GUARD)
    end_all(folder / "run")
    sockets.remove(folder / "run")
    os.close(lock)


if __name__ == "__main__":
    main()
