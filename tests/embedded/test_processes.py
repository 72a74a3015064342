"""Leftover processes: found, told apart from strangers, ended in order."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from notifier.embedded import processes
from notifier.embedded.child import Child, Command, Places
from notifier.embedded.processes import Record, end_all, is_held, start_time, take_lock, write_record
from tests.servers import wait_until

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(600)"


def child(
    places: Places, name: str = "child", code: str = "import time; time.sleep(600)", **options
) -> Child:
    return Child(Command(name, (sys.executable, "-u", "-c", code), **options), places)


def test_a_running_child_holds_its_lock_and_a_dead_one_does_not(places: Places) -> None:
    sleeper = child(places)
    assert is_held(places.run / "child.lock")
    os.kill(sleeper.pid, signal.SIGKILL)
    wait_until(lambda: not is_held(places.run / "child.lock"))


def test_end_all_ends_what_runs_and_says_nothing_about_what_does_not(places: Places) -> None:
    sleeper = child(places)
    end_all(places.run)
    wait_until(lambda: sleeper.exit_code() == -signal.SIGTERM)
    end_all(places.run)


def test_a_child_that_ignores_the_stop_signal_is_killed_after_its_grace(places: Places) -> None:
    stubborn = child(places, code=STUBBORN, grace_seconds=0.2)
    wait_until(lambda: stubborn.last_lines() == ["up"])
    end_all(places.run)
    assert stubborn.exit_code() == -signal.SIGKILL


def test_a_hurry_does_not_wait_for_the_grace(places: Places) -> None:
    stubborn = child(places, code=STUBBORN, grace_seconds=600)
    wait_until(lambda: stubborn.last_lines() == ["up"])
    end_all(places.run, hurried=lambda: True)
    assert stubborn.exit_code() == -signal.SIGKILL


def test_servers_are_ended_after_those_who_use_them(places: Places) -> None:
    note = (
        "import signal, sys, time\n"
        "signal.signal(15, lambda *_: (open('{0}', 'a').write('{1} '), sys.exit()))\n"
        "print('up'); time.sleep(600)"
    )
    order = places.run / "order"
    for name, rank in (("server", 0), ("user", 1)):
        started = child(places, name, note.format(order, name), rank=rank)
        wait_until(lambda started=started: started.last_lines() == ["up"])
    end_all(places.run)
    assert order.read_text() == "user server "


def test_a_process_that_only_has_the_recorded_number_is_left_alone(places: Places) -> None:
    stranger = subprocess.Popen(["sleep", "600"])
    lock = take_lock(places.run / "child.lock")
    assert lock is not None
    write_record(lock, Record(stranger.pid, "another start", signal.SIGKILL, 0.1, 1))
    os.close(lock)
    lock_holder = child(places)  # its own record is replaced by one that names the stranger
    (places.run / "child.lock").write_text(
        f'{{"pid": {stranger.pid}, "started": "x", "stop_signal": 9, "grace_seconds": 0, "rank": 1}}'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "KILL_SECONDS", 0.1)
        with pytest.raises(processes.StartError, match="does not end"):
            end_all(places.run)
    assert stranger.poll() is None
    os.kill(lock_holder.pid, signal.SIGKILL)
    stranger.kill()
    stranger.wait()


def test_the_start_time_tells_two_processes_apart_and_is_steady() -> None:
    other = subprocess.Popen(["sleep", "600"])
    assert start_time(os.getpid()) == start_time(os.getpid()) is not None
    assert start_time(other.pid) != start_time(os.getpid())
    other.kill()
    other.wait()
    assert start_time(other.pid) is None


def test_a_large_log_is_moved_aside_while_its_writer_goes_on(places: Places, tmp_path: Path) -> None:
    from notifier.embedded.child import LOG_BYTES, trim_log

    go = tmp_path / "go"
    code = (
        f"import os, time; print('first')\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(.02)\n"
        f"print('second')"
    )
    writer = child(places, code=code)
    wait_until(lambda: writer.last_lines() == ["first"])
    os.truncate(writer.log, LOG_BYTES + 1)
    assert trim_log(writer.log) == 0
    go.touch()
    wait_until(lambda: writer.exit_code() == 0)
    assert writer.log.read_text() == "second\n"
    assert writer.log.with_name("child.log.1").stat().st_size == LOG_BYTES + 1
