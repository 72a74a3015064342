"""The clock of a test project: runs the real planner and deliverer forward, event by event, to an instant.

Nothing leaves: all messages are captured. The events are the instants at which the engine would have
something to do: a slot is due, a pause ends, a delivery is to be tried.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import NamedTuple
from uuid import UUID

from structlog.contextvars import bound_contextvars

from notifier.channels.capture import Capture
from notifier.clock import monotonic
from notifier.domain.delivery import Envelope
from notifier.domain.errors import Conflict
from notifier.pipeline import planner, rescuer
from notifier.pipeline.bookkeeping import Bookkeeping
from notifier.pipeline.deliverer import Deliverer
from notifier.storage import access, rehearsals
from notifier.storage.engine import Clock, Database

BATCH = 1000
LEASE_SECONDS = 60
_NEVER = datetime.max.replace(tzinfo=UTC)
MOST_MESSAGES = 5000
"""After so many messages one call stops, to be called again."""

MOST_SECONDS = 45.0
"""As after so long a time: whoever waits for the answer has a time-out too."""

MOST_EVENTS = 10_000
"""As after so many instants at which something was done: not all of them make messages."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """Where the clock stands now (UTC), whether that is where it was to go, and what would have gone out."""

    now: datetime
    complete: bool
    messages: list[Envelope]


@dataclass(slots=True)
class Rehearsal:
    """One call that moves the clock of a test project, which stands at `now`."""

    database: Database
    deliverer: Deliverer
    project_id: UUID
    now: datetime
    capture: Capture

    async def advance(self, to: datetime, *, down: bool = False) -> Rehearsed:
        """Run to an instant (UTC); with `down` the clock moves on while nothing runs, as in an outage.

        Raises Conflict if another call moves the clock at the same time. Each line that it logs says that
        it is a `rehearsal`.
        """
        with bound_contextvars(rehearsal=True):
            return await self._advance(to, down=down)

    async def _advance(self, to: datetime, *, down: bool) -> Rehearsed:
        events, give_up_at = count(), monotonic() + MOST_SECONDS
        while not down and (event := await self._next_event()).at <= to:
            full = len(self.capture.messages) >= MOST_MESSAGES or next(events) >= MOST_EVENTS
            if full or monotonic() > give_up_at:
                return Rehearsed(self.now, False, self.capture.messages)
            await self._move(max(event.at, self.now))
            await self._run(event)
        await self._move(to)
        return Rehearsed(self.now, True, self.capture.messages)

    def _here(self) -> Database:
        return self.database.following(Clock(self.project_id, self.now))

    async def _next_event(self) -> "_Event":
        async with self._here().transaction() as session:
            found = await rehearsals.next_events(session)
        return _Event(*(at or _NEVER for at in (found.plan_at, found.free_at, found.try_at)))

    async def _move(self, to: datetime) -> None:
        async with self.database.transaction() as session:
            moved = await access.move_clock(session, self.project_id, seen=self.now, to=to)
        if not moved:
            raise Conflict("Another call moves this clock, or the project is gone.")
        self.now = to

    async def _run(self, event: "_Event") -> None:
        """Do all that is to be done at this instant."""
        here = self._here()
        if event.free_at <= self.now:
            # a call that was killed left leases behind
            await rescuer.break_leases(here)
        if event.try_at <= self.now:
            await rescuer.expire(here)
        if event.plan_at <= self.now:
            await planner.sweep(here, None, batch=BATCH)
        books = Bookkeeping(here, lease=LEASE_SECONDS)
        deliverer = replace(self.deliverer, books=books, channels=self.capture, window=0)
        async with here.transaction() as session:
            waiting = await rehearsals.waiting(session)
        for delivery_id in waiting:
            await deliverer.deliver(self.project_id, delivery_id)


class _Event(NamedTuple):
    """When there is something to plan next, to free, and to try."""

    plan_at: datetime
    free_at: datetime
    try_at: datetime

    @property
    def at(self) -> datetime:
        """The first of them."""
        return min(self)
