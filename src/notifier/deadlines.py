"""Deadlines for what nearly always ends well: kept in a set, and looked at ten times a second.

A timer for each of them, as `loop.call_later` makes, is what a worker would do most of the time.
"""

import asyncio
from collections.abc import Callable

import structlog

from notifier.clock import monotonic

log = structlog.get_logger(__name__)

TICK = 0.1
"""Seconds between two looks, and so how much later than asked a deadline may pass."""


class Deadlines:
    """The deadlines of one event loop."""

    def __init__(self) -> None:
        self._open: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None

    def call_in(self, seconds: float, late: Callable[[], object]) -> "Deadline":
        """Return what calls `late` after at least so many seconds, unless it is cancelled by then."""
        deadline = Deadline(self._open, monotonic() + seconds, late)
        self._open.add(deadline)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK, self._look)
        return deadline

    def _look(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK, self._look) if self._open else None
        now = monotonic()
        for deadline in [one for one in self._open if one.at <= now]:
            try:
                deadline.pass_by()
            except Exception:
                # a bug: it must not cost the others their turn
                log.exception("deadline.failed")


class Deadline:
    """When something is late (monotonic seconds), and whether it was."""

    __slots__ = ("_late", "_open", "at", "passed")

    def __init__(self, among: "set[Deadline]", at: float, late: Callable[[], object]) -> None:
        self._open = among
        self._late: Callable[[], object] | None = late
        self.at = at
        self.passed = False

    def pass_by(self) -> None:
        """Tell that it is too late now, unless that is known or not wanted any longer."""
        if self in self._open:
            self._open.discard(self)
            self.passed = True
            late, self._late = self._late, None
            if late:
                late()

    def cancel(self) -> None:
        """Forget it, and whom to tell: what it was for has ended."""
        self._open.discard(self)
        self._late = None
