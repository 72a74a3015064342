"""One child process: its own session, its own log file, its own lock."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from notifier.embedded.errors import StartError
from notifier.embedded.processes import KILL_SECONDS, Record, await_lock, start_time, write_record

LOG_BYTES = 10_000_000
TAIL_BYTES = 4_000


@dataclass(frozen=True, slots=True)
class Account:
    """The user and group (numbers) that a process runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and how it wants to be stopped; `rank` 0 are the servers that the others need."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0
    rank: int = 1
    account: Account | None = None
    descriptors: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Places:
    """Where children keep their locks and their logs."""

    run: Path
    logs: Path


class Child:
    """A running child; `prepare` is called once it is certain that no earlier one runs."""

    def __init__(self, command: Command, places: Places, prepare: Callable[[], None] = lambda: None) -> None:
        self.command = command
        self._prepare = prepare
        self.name = command.name
        self.log = places.logs / f"{command.name}.log"
        self.log_start = trim_log(self.log)
        self._process = self._start(places.run / f"{command.name}.lock")

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return the exit code, negative for a signal, or None while the child runs."""
        return self._process.poll()

    def last_lines(self, count: int = 8) -> list[str]:
        """Return the last lines that this run of the child wrote."""
        size = self.log.stat().st_size
        with self.log.open("rb") as file:
            file.seek(max(min(self.log_start, size), size - TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()[-count:]

    def _start(self, lock_path: Path) -> subprocess.Popen[bytes]:
        lock = await_lock(lock_path, KILL_SECONDS)  # helpers of a killed server need a moment to end
        if lock is None:
            raise StartError(f"Another {self.name} of this folder still runs; see {lock_path}")
        try:
            self._prepare()
            process = self._spawn(lock)
            write_record(lock, self._record(process.pid))
        finally:
            os.close(lock)
        return process

    def _spawn(self, lock: int) -> subprocess.Popen[bytes]:
        account = self.command.account
        with open(self.log, "ab", opener=_private) as log:
            return subprocess.Popen(
                self.command.argv,
                env=self.command.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for the supervisor alone
                pass_fds=(lock, *self.command.descriptors),
                **account_arguments(account),
            )

    def _record(self, pid: int) -> Record:
        command = self.command
        return Record(pid, start_time(pid) or "", command.stop_signal, command.grace_seconds, command.rank)


def account_arguments(account: Account | None) -> dict[str, Any]:
    """Return the arguments of `subprocess` that change to the account; it gets no groups besides its own."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": [], "cwd": "/"}


def trim_log(log: Path) -> int:
    """Move a large log aside under its writer's hands; return at which byte new lines begin."""
    size = log.stat().st_size if log.exists() else 0
    if size <= LOG_BYTES:
        return size
    shutil.copyfile(log, log.with_name(log.name + ".1"))
    os.truncate(log, 0)
    return 0


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
