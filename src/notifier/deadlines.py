"""Deadlines for waits that nearly always end well: kept in a set, and looked at ten times a second.

A timer for each of them, as `asyncio.timeout` makes, is what a worker would do most of the time.
"""

import asyncio
from types import TracebackType

from notifier.clock import monotonic

TICK = 0.1
"""Seconds between two looks, and so how much later than asked a wait may end."""


class Deadlines:
    """The deadlines of one event loop."""

    def __init__(self) -> None:
        self._open: set[_Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None

    def within(self, seconds: float) -> "_Deadline":
        """Return what ends the wait inside its `with` block, by a TimeoutError, after at least `seconds`."""
        return _Deadline(self, monotonic() + seconds)

    def add(self, deadline: "_Deadline") -> None:
        """Watch a wait."""
        self._open.add(deadline)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK, self._look)

    def discard(self, deadline: "_Deadline") -> None:
        """Forget a wait that has ended, or was ended."""
        self._open.discard(deadline)

    def _look(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK, self._look) if self._open else None
        now = monotonic()
        for deadline in [one for one in self._open if one.at <= now]:
            deadline.expire()


class _Deadline:
    """The deadline of the task that enters it."""

    __slots__ = ("_deadlines", "_expired", "_task", "_unwanted", "at")

    def __init__(self, deadlines: Deadlines, at: float) -> None:
        self._deadlines = deadlines
        self.at = at
        self._expired = False

    def expire(self) -> None:
        """End the wait."""
        self._expired = True
        self._deadlines.discard(self)
        self._task.cancel()

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - only a task waits
        self._task = task
        self._unwanted = task.cancelling()
        self._deadlines.add(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._deadlines.discard(self)
        # a cancellation from elsewhere goes on, even if both came at once
        if self._expired and self._task.uncancel() <= self._unwanted and kind is asyncio.CancelledError:
            raise TimeoutError from error
