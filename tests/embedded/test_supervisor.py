"""The supervisor, with small real children and real signals."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from notifier.embedded import guard
from notifier.embedded.child import Child, Command
from notifier.embedded.errors import ChildFailedError
from notifier.embedded.folder import DataFolder
from notifier.embedded.processes import is_held
from notifier.embedded.supervisor import Supervisor
from tests.servers import wait_until

ROOT = Path(__file__).parents[2]
PROGRAM = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may ignore it, as `nohup` does
from pathlib import Path
from notifier.embedded import guard
from notifier.embedded.child import Child, Command
from notifier.embedded.folder import DataFolder
from notifier.embedded.supervisor import Supervisor
folder = DataFolder.open(Path(sys.argv[1]))
watcher = guard.start(folder.path)
supervisor = Supervisor(folder, lambda line: print(line, flush=True))
supervisor.listen()
for name, code in zip(sys.argv[2::2], sys.argv[3::2]):
    command = Command(name, (sys.executable, "-u", "-c", code), grace_seconds=60)
    supervisor.start(lambda command=command: Child(command, folder.places))
print("running", flush=True)
supervisor.watch()
supervisor.stop()
folder.close()
guard.dismiss(watcher)
print("stopped", flush=True)
"""
SLEEP = "print('up'); import time; time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(600)"


class Running:
    """A supervisor in a process of its own."""

    def __init__(self, data_dir: Path, **children: str) -> None:
        self.data_dir = data_dir
        self.children = children
        self.output = data_dir.with_name("output")
        arguments = [part for pair in children.items() for part in pair]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(data_dir), *arguments],
                stdout=output,
                cwd=ROOT,
            )
        wait_until(lambda: "running" in self.said())
        for name in children:
            wait_until(lambda name=name: "up" in (data_dir / "logs" / f"{name}.log").read_text())

    def said(self) -> str:
        return self.output.read_text()

    def child_pid(self, name: str) -> int:
        found = re.search(r'"pid": (\d+)', (self.data_dir / "run" / f"{name}.lock").read_text())
        assert found
        return int(found[1])

    def nothing_runs(self) -> bool:
        return not any(is_held(self.data_dir / "run" / f"{name}.lock") for name in self.children)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_in_good_order(data_dir: Path, number: signal.Signals) -> None:
    running = Running(data_dir, first=SLEEP, second=SLEEP)
    running.process.send_signal(number)
    assert running.process.wait(40) == 0
    assert running.nothing_runs()
    assert "stopped" in running.said()


def test_what_ends_during_the_stop_is_told_as_well(data_dir: Path) -> None:
    line = '{"event": "delivery.attempted", "status": "delivered", "kind": "log", "title": "Last"}'
    slow = f"import signal; signal.signal(signal.SIGTERM, lambda *_: (print({line!r}), exit())); {SLEEP}"
    running = Running(data_dir, worker=slow)
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(40) == 0
    assert 'delivered "Last" -> log' in running.said()


def test_a_second_ctrl_c_hurries(data_dir: Path) -> None:
    running = Running(data_dir, stubborn=STUBBORN)
    running.process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        running.process.wait(0.7)
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(40) == 0
    assert running.nothing_runs()


def test_a_child_that_dies_is_reported_in_one_line_and_started_again(data_dir: Path) -> None:
    running = Running(data_dir, worker=SLEEP)
    before = running.child_pid("worker")
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: "worker runs again" in running.said())
    assert "worker was ended by SIGKILL; starting it again in 1 s" in running.said()
    assert running.child_pid("worker") != before
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(40) == 0


def test_a_child_that_keeps_dying_is_started_ever_more_slowly(data_dir: Path) -> None:
    running = Running(data_dir, broken="print('up'); raise SystemExit(3)")
    wait_until(lambda: "again in 4 s" in running.said())
    waits = re.findall(r"ended with exit code 3; starting it again in (\d+) s", running.said())
    assert waits[:3] == ["1", "2", "4"]
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(40) == 0


def test_children_do_not_outlive_a_killed_supervisor(data_dir: Path) -> None:
    running = Running(data_dir, first=SLEEP, second=SLEEP)
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait()
    wait_until(running.nothing_runs)


def test_a_start_right_after_a_kill_waits_for_the_end_of_what_was_killed(data_dir: Path) -> None:
    running = Running(data_dir, first=SLEEP)
    pid = running.child_pid("first")
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait()
    again = Running(data_dir, first=SLEEP)
    assert again.child_pid("first") != pid
    again.process.send_signal(signal.SIGTERM)
    assert again.process.wait(40) == 0


def test_warnings_of_children_reach_the_terminal_in_readable_form(data_dir: Path) -> None:
    line = '{"level": "warning", "event": "sweep.late", "seconds": 7, "timestamp": "x"}'
    running = Running(data_dir, scheduler=f"print({line!r}); {SLEEP}")
    wait_until(lambda: "scheduler: warning: sweep.late seconds=7" in running.said())
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(40) == 0


def test_a_child_that_ends_while_starting_fails_the_start_with_its_last_lines(data_dir: Path) -> None:
    folder = DataFolder.open(data_dir)
    supervisor = Supervisor(folder, print)
    command = Command("api", (sys.executable, "-c", "raise SystemExit('no such table')"))
    child = supervisor.start(lambda: Child(command, folder.places))
    with pytest.raises(ChildFailedError, match="api ended with exit code 1") as caught:
        supervisor.await_ready(child, lambda: False)
    assert caught.value.last_lines == ["no such table"]
    folder.close()


def test_a_child_that_never_gets_ready_fails_the_start(data_dir: Path) -> None:
    folder = DataFolder.open(data_dir)
    supervisor = Supervisor(folder, print)
    child = supervisor.start(
        lambda: Child(Command("api", (sys.executable, "-c", SLEEP), grace_seconds=1), folder.places)
    )
    with pytest.raises(ChildFailedError, match="api was not ready in time"):
        supervisor.await_ready(child, lambda: False, seconds=0.1)
    supervisor.stop()
    folder.close()


def test_the_guard_leaves_a_folder_with_a_new_supervisor_alone(data_dir: Path) -> None:
    folder = DataFolder.open(data_dir)
    watcher = guard.start(folder.path, dying_seconds=0.5)
    Child(Command("kept", (sys.executable, "-c", SLEEP)), folder.places)
    guard.dismiss(
        watcher
    )  # the pipe ends, but the lock is still held: by a later supervisor, for all it knows
    assert is_held(folder.places.run / "kept.lock")
    Supervisor(folder, print).stop()
    folder.close()
