"""Bulkheads: no project and no receiver can use up a worker, however slow it is.

Each is a room with a limited number of places, and all rooms share what places there are. Who finds them
taken waits, as long as places come free at a pace that gives it one soon; behind receivers that hang it goes
away at once, and its delivery is rung for again later.

Why receivers that hang cannot starve the others, however many they are: the last quarter of all places is not
for them. Once no more than that is free, a room gets beyond its first few places only what it has earned: one
for each visitor who was quick. A room that hangs earns nothing. So those that hang never take more than three
quarters and a few each, and the first few of a room are given to it even if none are left.

A room may earn a head start in the same way, places beyond those it has anyway. It loses all of it as soon as
one who has a place waits at another door: a process that dies leaves few behind there, of whom nobody knows
how far they have come.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Protocol

from notifier.clock import monotonic

WATCH = 2.0
"""Seconds after which it can be told how fast places come free."""

PATIENCE = 15
"""How many times as long anybody waits for a place, if they come free at all: half a minute. Who goes away is
rung for again no sooner, and the receiver would be idle meanwhile."""

FEW = 20
"""A room's first few places: this part of the most that it may have."""


class Visitor(Protocol):
    """Who comes for a place, and may have to wait for it."""

    def done(self) -> bool:
        """Say whether it does not want a place any longer."""

    def let_in(self, place: "Place") -> None:
        """Hand over a place, which the visitor is to leave."""

    def send_away(self) -> None:
        """Tell that there is no place, nor soon."""


@dataclass(frozen=True, slots=True)
class _Waiter:
    """Who waits for a place, and since when."""

    visitor: Visitor
    since: float


@dataclass(slots=True)
class _Room:
    """The places of one key, and how fast they have come free since they were all taken."""

    key: Hashable
    watch: float
    earned: int
    taken: int = 0
    waiting: deque[_Waiter] = field(default_factory=deque)
    timer: asyncio.TimerHandle | None = None
    full_since: float = 0.0
    left: float = 0.0
    last_left: float = 0.0

    def watch_from(self, now: float) -> None:
        """Begin to watch: a place that is taken now may be the last one."""
        self.full_since = self.last_left = now
        self.left = 0.0

    def leave(self, now: float) -> None:
        """Give a place back."""
        self.taken -= 1
        self.left += 1
        self.last_left = now

    def next_visitor(self) -> Visitor | None:
        """Return who has waited for the longest time."""
        while self.waiting:
            visitor = self.waiting.popleft().visitor
            if not visitor.done():
                return visitor
        return None

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
            visitor = self.waiting.popleft().visitor
            if not visitor.done():
                visitor.send_away()


class Bulkheads:
    """Rooms with up to `places` places each, and `ahead` more that they can earn, of `total` that they share.

    They are watched for `watch` seconds at a time, made when they are needed, and forgotten when empty.
    """

    def __init__(
        self,
        places: int,
        total: int,
        watch: float = WATCH,
        clock: Callable[[], float] = monotonic,
        *,
        ahead: int = 0,
    ) -> None:
        self._places = places
        self._most_earned = places + ahead
        self._few = max(1, self._most_earned // FEW)
        self._free = total
        self._kept = total // 4
        self._watch = watch
        self._clock = clock
        self._rooms: dict[Hashable, _Room] = {}

    def enter(self, key: Hashable, visitor: Visitor) -> None:
        """Let a visitor in, now or once there is a place, or send it away."""
        room = self._rooms.get(key)
        if room is None:
            room = self._rooms[key] = _Room(key, self._watch, self._few)
        now = self._clock()
        if room.waiting:
            self._admit(room)
        if room.taken < self._most(room):
            room.watch_from(now)
            self._let_in(room, visitor, now)
        elif room.expected_wait(now) > PATIENCE * self._watch:
            visitor.send_away()
        else:
            room.waiting.append(_Waiter(visitor, now))
            if room.timer is None:
                self._watch_over(room)

    def leave(self, place: "Place", *, well: bool) -> None:
        """Take a place back; who leaves well, and soon, has earned the room one more."""
        now, room = self._clock(), place.room
        self._free += 1
        room.leave(now)
        if now - place.since >= self._watch:
            room.earned = self._few
        elif well and room.earned < self._most_earned:
            room.earned += 1
        if room.waiting:
            self._admit(room)
        if not room.taken:
            del self._rooms[room.key]

    def end_head_start(self, room: _Room) -> None:
        """Leave a room no more than its own places."""
        room.earned = min(room.earned, self._places)

    def _most(self, room: _Room) -> int:
        """Return how many may be in a room now."""
        if self._free > self._kept:
            return max(self._places, room.earned)
        return room.earned if self._free > 0 else self._few

    def _let_in(self, room: _Room, visitor: Visitor, now: float) -> None:
        self._free -= 1
        room.taken += 1
        visitor.let_in(Place(self, room, now))

    def _admit(self, room: _Room) -> None:
        """Let in who waits, as far as there are places."""
        while room.taken < self._most(room) and (visitor := room.next_visitor()):
            self._let_in(room, visitor, self._clock())

    def _watch_over(self, room: _Room) -> None:
        """Look after those who wait, one timer for all of them, as long as there are any."""
        room.send_away(self._clock())
        self._admit(room)
        room.timer = (
            asyncio.get_running_loop().call_later(self._watch, self._watch_over, room)
            if room.waiting
            else None
        )


@dataclass(slots=True)
class Place:
    """One place in a room, held since then (monotonic seconds)."""

    bulkheads: Bulkheads
    room: _Room
    since: float

    def end_head_start(self) -> None:
        """Tell that who has it waits at another door."""
        self.bulkheads.end_head_start(self.room)

    def leave(self, *, well: bool) -> None:
        """Give the place back."""
        self.bulkheads.leave(self, well=well)
