"""The guard ends what a killed supervisor leaves, however slowly that supervisor dies."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from notifier.embedded import guard
from notifier.embedded.child import Child, Command
from notifier.embedded.folder import DataFolder
from tests.servers import wait_until

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
TAKE_OVER = """
import os, sys
from pathlib import Path
from notifier.embedded.processes import take_lock, write_lock
write_lock(take_lock(Path(sys.argv[1])), str(os.getpid()))
print("taken", flush=True)
sys.stdin.read()
"""


def end_the_pipe(watcher: "subprocess.Popen[bytes]") -> None:
    assert watcher.stdin
    watcher.stdin.close()


def test_children_are_ended_though_the_lock_outlives_the_pipe(data_dir: Path) -> None:
    folder = DataFolder.open(data_dir)
    watcher = guard.start(data_dir)
    child = Child(Command("child", SLEEP), folder.places)
    end_the_pipe(watcher)
    lock = folder._lock
    assert lock is not None
    threading.Timer(0.5, os.close, [lock]).start()
    wait_until(lambda: child.exit_code() is not None)
    assert watcher.wait(40) == 0
    assert not folder.sockets.exists()


def test_children_are_left_to_a_new_supervisor(data_dir: Path) -> None:
    folder = DataFolder.open(data_dir)
    watcher = guard.start(data_dir)
    child = Child(Command("child", SLEEP), folder.places)
    os.close(folder._lock or 0)
    again = subprocess.Popen(
        [sys.executable, "-c", TAKE_OVER, str(data_dir / "lock")], stdin=-1, stdout=-1, text=True
    )
    assert again.stdout
    assert again.stdout.readline() == "taken\n"
    end_the_pipe(watcher)
    assert watcher.wait(40) == 0
    assert child.exit_code() is None
    again.communicate()
