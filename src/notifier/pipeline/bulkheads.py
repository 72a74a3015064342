"""Bulkheads: no project and no receiver can use up a worker, however slow it is.

Each has a limited number of places. Who finds them taken waits, as long as places come free at a pace that
gives it one soon; behind receivers that hang it goes away at once, and its delivery is rung for again later.
"""

import asyncio
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass

from notifier.clock import monotonic

WATCH = 2.0
"""Seconds after which it can be told how fast places come free."""

PATIENCE = 3
"""How many times as long anybody waits for a place, if they come free at all."""


class Crowded(Exception):
    """There is no place, and none to be expected soon."""


@dataclass(slots=True)
class _Room:
    """The places of one key, and how fast they have come free since they were all taken."""

    free: asyncio.Semaphore
    watch: float
    users: int = 0
    waiting: int = 0
    full_since: float = 0.0
    left: float = 0.0
    last_left: float = 0.0

    def fill(self, now: float) -> None:
        """Begin to watch: the last places are being taken."""
        self.full_since = self.last_left = now
        self.left = 0.0

    def leave(self, now: float) -> None:
        """Give a place back."""
        self.left += 1
        self.last_left = now
        self.free.release()

    def hangs(self, now: float) -> bool:
        """Tell whether nobody has left for as long as we watch."""
        return now - self.last_left >= self.watch

    def expected_wait(self, now: float) -> float:
        """Return seconds until one more who waits would get a place; 0 while that cannot be told yet."""
        watched = now - self.full_since
        if watched < self.watch:
            return 0.0
        if self.hangs(now):
            return float("inf")
        if watched > 2 * self.watch:
            # only the last seconds tell the pace: shorten a long count to one of the same pace
            self.full_since, self.left = now - self.watch, self.left * self.watch / watched
        return (self.waiting + 1) * self.watch / self.left


class Bulkheads:
    """Rooms with `places` places each, made when needed and watched for `watch` seconds at a time."""

    def __init__(self, places: int, watch: float = WATCH, clock: Callable[[], float] = monotonic) -> None:
        self._places = places
        self._watch = watch
        self._clock = clock
        self._rooms: dict[Hashable, _Room] = {}

    def place(self, key: Hashable) -> "_Place":
        """Return what holds one of the places of `key`. Raises Crowded if there is none, nor soon."""
        return _Place(self, key)

    async def enter(self, key: Hashable) -> _Room:
        """Take a place, and return the room that it is in."""
        room = self._rooms.get(key)
        if room is None:
            room = self._rooms[key] = _Room(asyncio.Semaphore(self._places), self._watch)
        room.users += 1
        try:
            await self._take(room)
        except BaseException:
            self._forget(key, room)
            raise
        return room

    def leave(self, key: Hashable, room: _Room) -> None:
        """Give a place back."""
        room.leave(self._clock())
        self._forget(key, room)

    def _forget(self, key: Hashable, room: _Room) -> None:
        room.users -= 1
        if not room.users:
            del self._rooms[key]

    async def _take(self, room: _Room) -> None:
        now = self._clock()
        if not room.free.locked():
            room.fill(now)
            await room.free.acquire()
        elif room.expected_wait(now) > PATIENCE * self._watch:
            raise Crowded
        else:
            await self._wait(room)

    async def _wait(self, room: _Room) -> None:
        """Wait, as long as others leave."""
        room.waiting += 1
        try:
            for _ in range(PATIENCE):
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._watch):
                        await room.free.acquire()
                        return
                if room.hangs(self._clock()):
                    break
        finally:
            room.waiting -= 1
        raise Crowded


class _Place:
    """One place, held between entry and exit. Not a generator: these come twice for every delivery."""

    __slots__ = ("_bulkheads", "_key", "_room")

    def __init__(self, bulkheads: Bulkheads, key: Hashable) -> None:
        self._bulkheads = bulkheads
        self._key = key

    async def __aenter__(self) -> None:
        self._room = await self._bulkheads.enter(self._key)

    async def __aexit__(self, *_: object) -> None:
        self._bulkheads.leave(self._key, self._room)
