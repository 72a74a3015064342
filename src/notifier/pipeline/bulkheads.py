"""Bulkheads: no project and no receiver can use up a worker, however slow it is.

Each has a limited number of places. Who finds them taken waits, as long as places come free at a pace that
gives it one soon; behind receivers that hang it goes away at once, and its delivery is rung for again later.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from notifier.clock import monotonic

PATIENCE = 2.0
"""Seconds that anybody waits for a place."""


class Crowded(Exception):
    """There is no place, and none to be expected soon."""


@dataclass(slots=True)
class _Room:
    """The places of one key, and how fast they have come free since they were all taken."""

    free: asyncio.Semaphore
    patience: float
    users: int = 0
    waiting: int = 0
    full_since: float = 0.0
    left: float = 0.0

    def expected_wait(self, now: float) -> float:
        """Return seconds until one more who waits would get a place; 0 while that cannot be told yet."""
        watched = now - self.full_since
        if watched < self.patience:
            return 0.0
        return (self.waiting + 1) * watched / self.left if self.left else float("inf")

    def forget_old(self, now: float) -> None:
        """Let only the last seconds tell the pace: shorten a long count to one of the same pace."""
        watched = now - self.full_since
        if watched > 2 * self.patience:
            self.full_since, self.left = now - self.patience, self.left * self.patience / watched


class Bulkheads:
    """Rooms with `places` places each, made when needed; nobody waits for over `patience` seconds."""

    def __init__(
        self, places: int, patience: float = PATIENCE, clock: Callable[[], float] = monotonic
    ) -> None:
        self._places = places
        self._patience = patience
        self._clock = clock
        self._rooms: dict[Hashable, _Room] = {}

    @asynccontextmanager
    async def place(self, key: Hashable) -> AsyncIterator[None]:
        """Hold one of the places of `key`. Raises Crowded if there is none, nor soon."""
        room = self._rooms.setdefault(key, _Room(asyncio.Semaphore(self._places), self._patience))
        room.users += 1
        try:
            await self._enter(room)
            try:
                yield
            finally:
                room.left += 1
                room.free.release()
        finally:
            room.users -= 1
            if not room.users:
                del self._rooms[key]

    async def _enter(self, room: _Room) -> None:
        now = self._clock()
        if not room.free.locked():
            room.full_since, room.left = now, 0
            await room.free.acquire()
            return
        room.forget_old(now)
        if room.expected_wait(now) > self._patience:
            raise Crowded
        await self._wait(room)

    async def _wait(self, room: _Room) -> None:
        room.waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await room.free.acquire()
        except TimeoutError:
            raise Crowded from None
        finally:
            room.waiting -= 1
