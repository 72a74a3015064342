"""Bulkheads: no project and no receiver can use up a worker, however slow it is.

Each has a limited number of places. Who finds them taken waits, as long as places come free at a pace that
gives it one soon; behind receivers that hang it goes away at once, and its delivery is rung for again later.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from notifier.clock import monotonic

WATCH = 2.0
"""Seconds after which it can be told how fast places come free."""

PATIENCE = 3
"""How many times as long anybody waits for a place, if they come free at all."""


class Crowded(Exception):
    """There is no place, and none to be expected soon."""


@dataclass(frozen=True, slots=True)
class _Waiter:
    """Who waits for a place, and since when."""

    place: asyncio.Future[None]
    since: float


@dataclass(slots=True)
class _Room:
    """The places of one key, and how fast they have come free since they were all taken."""

    free: int
    watch: float
    taken: int = 0
    waiting: deque[_Waiter] = field(default_factory=deque)
    timer: asyncio.TimerHandle | None = None
    full_since: float = 0.0
    left: float = 0.0
    last_left: float = 0.0

    def fill(self, now: float) -> None:
        """Take a place that is free, and begin to watch: it may be the last one."""
        self.free -= 1
        self.taken += 1
        self.full_since = self.last_left = now
        self.left = 0.0

    def leave(self, now: float) -> None:
        """Give a place back, to who has waited for the longest time."""
        self.left += 1
        self.last_left = now
        while self.waiting:
            place = self.waiting.popleft().place
            if not place.done():
                place.set_result(None)
                return
        self.free += 1
        self.taken -= 1

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
        return (len(self.waiting) + 1) * self.watch / self.left

    def send_away(self, now: float) -> None:
        """Send away who has waited for too long; if nobody leaves, everybody."""
        while self.waiting and (self.hangs(now) or now - self.waiting[0].since >= PATIENCE * self.watch):
            place = self.waiting.popleft().place
            if not place.done():
                place.set_exception(Crowded())


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
            room = self._rooms[key] = _Room(self._places, self._watch)
        now = self._clock()
        if room.free:
            room.fill(now)
        elif room.expected_wait(now) > PATIENCE * self._watch:
            raise Crowded
        else:
            await self._wait(key, room, _Waiter(asyncio.get_running_loop().create_future(), now))
        return room

    def leave(self, key: Hashable, room: _Room) -> None:
        """Give a place back."""
        room.leave(self._clock())
        if not room.taken:
            del self._rooms[key]

    async def _wait(self, key: Hashable, room: _Room, waiter: _Waiter) -> None:
        """Wait for a place, as long as others leave."""
        room.waiting.append(waiter)
        if room.timer is None:
            self._watch_over(room)
        try:
            await waiter.place
        except asyncio.CancelledError:
            place = waiter.place
            if place.done() and not place.cancelled() and place.exception() is None:
                # it was given at the same moment
                self.leave(key, room)
            raise

    def _watch_over(self, room: _Room) -> None:
        """Look after those who wait, one timer for all of them, as long as there are any."""
        room.send_away(self._clock())
        room.timer = (
            asyncio.get_running_loop().call_later(self._watch, self._watch_over, room)
            if room.waiting
            else None
        )


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
