"""Keeps children running: starts them in order, restarts the ones that die, stops them all.

1. Signals only set a counter; everything happens in one loop, so there is nothing to lock.
2. Every wait of the start looks at that counter, so Ctrl-C works at any moment.
3. Children are stopped through their lock files (see `processes`), the same way in which a guard or a later
   start ends what a killed supervisor left behind.
"""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

from notifier import clock
from notifier.embedded.child import Child
from notifier.embedded.errors import ChildFailedError
from notifier.embedded.folder import DataFolder
from notifier.embedded.logs import LogReader
from notifier.embedded.processes import end_all

TICK_SECONDS = 0.25
READY_POLL_SECONDS = 0.03
READY_SECONDS = 60.0
MAX_BACK_OFF_SECONDS = 30.0
STEADY_SECONDS = 60.0


class Stopped(BaseException):
    """Somebody asked to stop while the service was still starting."""


@dataclass(slots=True)
class Watched:
    """A child, how to start it again, and how it has fared; times are monotonic seconds."""

    start: Callable[[], Child]
    child: Child
    log: LogReader
    started_at: float
    failures: int = 0
    restart_at: float | None = None


class Supervisor:
    """All children of one `notifier up`; `say` shows one line to the person at the terminal."""

    def __init__(self, folder: DataFolder, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._watched: list[Watched] = []
        self._signals = 0

    def listen(self) -> None:
        """From now on, let SIGINT, SIGTERM and SIGHUP ask for an orderly stop."""
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` wants it
            signal.signal(signal.SIGHUP, self._on_signal)

    def start(self, start: Callable[[], Child]) -> Child:
        """Start a child that is to run until the end."""
        self._check_signals()
        child = start()
        self._watched.append(Watched(start, child, LogReader(child), clock.monotonic()))
        return child

    def finish(self, start: Callable[[], Child]) -> None:
        """Run a child to its end; raises ChildFailedError if that is not a good one."""
        child = start()
        while child.exit_code() is None:
            self._pause(READY_POLL_SECONDS)
        if child.exit_code() != 0:
            raise _failed(child)

    def await_ready(self, child: Child, is_ready: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
        """Return when the child is ready; raises ChildFailedError if any child ends or time runs out."""
        deadline = clock.monotonic() + seconds
        while not is_ready():
            for watched in self._watched:
                if watched.child.exit_code() is not None:
                    raise _failed(watched.child)
            if clock.monotonic() > deadline:
                raise _failed(child)
            self._pause(READY_POLL_SECONDS)

    def watch(self) -> None:
        """Keep the children running until somebody asks to stop."""
        while not self._signals:
            for watched in self._watched:
                self._look_after(watched)
            time.sleep(TICK_SECONDS)

    def stop(self) -> None:
        """End all children, the servers last, and tell what they did until then.

        Another signal from here on cuts the waiting short.
        """
        seen = self._signals
        end_all(self._folder.places.run, hurried=lambda: self._signals > seen)
        with suppress(OSError):  # a folder that is gone has no news
            for watched in self._watched:
                self._tell(watched)

    def _tell(self, watched: Watched) -> None:
        for line in watched.log.news():
            self._say(line)

    def _look_after(self, watched: Watched) -> None:
        self._tell(watched)
        if watched.restart_at is not None:
            if clock.monotonic() >= watched.restart_at:
                self._restart(watched)
        elif watched.child.exit_code() is not None:
            self._plan_restart(watched)

    def _plan_restart(self, watched: Watched) -> None:
        lived = clock.monotonic() - watched.started_at
        watched.failures = 1 if lived > STEADY_SECONDS else watched.failures + 1
        wait = min(2.0 ** (watched.failures - 1), MAX_BACK_OFF_SECONDS)
        watched.restart_at = clock.monotonic() + wait
        child = watched.child
        self._say(f"{child.name} {_ending(child)}; starting it again in {wait:.0f} s (log: {child.log})")

    def _restart(self, watched: Watched) -> None:
        try:
            watched.child = watched.start()
        except Exception as error:
            self._say(f"{watched.child.name} could not be started: {error}")
            watched.started_at = clock.monotonic()
            self._plan_restart(watched)
            return
        watched.log = LogReader(watched.child)
        watched.started_at = clock.monotonic()
        watched.restart_at = None
        self._say(f"{watched.child.name} runs again")

    def _pause(self, seconds: float) -> None:
        self._check_signals()
        time.sleep(seconds)

    def _check_signals(self) -> None:
        if self._signals:
            raise Stopped

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1


def _ending(child: Child) -> str:
    code = child.exit_code() or 0
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _failed(child: Child) -> ChildFailedError:
    how = "was not ready in time" if child.exit_code() is None else _ending(child)
    return ChildFailedError(child.name, how, child.log, child.last_lines())
