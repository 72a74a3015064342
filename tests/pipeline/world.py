"""A live project whose clock a test moves, and workers' hands that hold a message for as long as it likes.

The real planner, deliverer and rescuer run here; only time and the receiver are the test's.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from notifier.domain.delivery import AttemptOutcome, Envelope, Outcome
from notifier.domain.errors import NotifierError
from notifier.pipeline import health, planner, rescuer, retention, settling
from notifier.pipeline.attempts import Limits
from notifier.pipeline.bookkeeping import Bookkeeping
from notifier.pipeline.deliverer import Deliverer
from notifier.services import destinations
from notifier.services.context import Caller, Context
from notifier.storage import access
from notifier.storage.engine import Clock
from notifier.storage.tables import LIVE
from tests.house import PROJECT, House, rows_of

LEASE = 75
NEVER_HERE = 3600.0
"""Seconds of real time that no test takes: only the world's own clock ends leases."""

BEGIN = datetime.fromisoformat("2024-03-29T12:00:00+00:00")
"""Two days before the clocks change in Berlin; long ago, so that all that ended is old enough to go."""

EMPTY = "TRUNCATE projects, heartbeats CASCADE"
DELIVERIES = """
SELECT d.* FROM deliveries AS d
JOIN destinations AS t ON t.project_id = d.project_id AND t.id = d.destination_id
WHERE {condition}
ORDER BY d.scheduled_for, d.notification_id, t.name, d.trigger, d.id
"""
"""In an order that is the same in each run, for ids are not."""


@dataclass(eq=False)
class Hand:
    """A worker with one message in hand, which the receiver has not answered yet."""

    delivery_id: UUID
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    answer: "asyncio.Future[Outcome]" = field(default_factory=asyncio.Future)
    task: "asyncio.Task[None] | None" = None

    async def send(self, _envelope: Envelope) -> Outcome:
        """Do as a channel does, once the test says how it ends."""
        self.begun.set()
        return await self.answer


class World:
    """One project at `now`; `accepted` counts what the receiver took, by delivery."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.now = BEGIN
        self.database = house.database.following(Clock(LIVE, self.now))
        self.hands: list[Hand] = []
        self.accepted: Counter[UUID] = Counter()
        self.asked_again: Counter[UUID] = Counter()
        """How often a person decided that an `unknown` delivery is to be sent again."""

    # time, and asking

    def advance(self, by: timedelta) -> None:
        """Let time pass while nothing runs."""
        self.now += by
        self.database.clock = Clock(LIVE, self.now)

    async def sql(self, statement: str, **parameters: Any) -> Sequence[Row[Any]]:
        """Run one statement by the world's clock; return its rows, if it has any."""
        async with self.database.transaction() as session:
            return await rows_of(session, statement, **parameters)

    @asynccontextmanager
    async def request(self) -> AsyncIterator[Context]:
        """Yield the context of one request; what it may not do, it has not done."""
        caller = Caller(PROJECT, "tests", frozenset({"admin"}))
        settle = partial(settling.settle, queue=self.house.queue)
        runtime = self.house.runtime
        with suppress(NotifierError):
            async with self.database.transaction() as session:
                tools = (runtime.channels, self.house.queue, runtime.cipher, settle)
                yield Context(session, caller, self.now, *tools)

    async def open(self) -> None:
        """Begin anew; `careful` is asked before it gets anything twice, `hasty` gives up after one retry."""
        await self.house.sql(EMPTY)
        self.house.puppet.script.clear()
        async with self.database.transaction() as session:
            await access.ensure_default_project(session)
        await self._befriend("careful", on_unknown="hold")
        await self._befriend("hasty", retry_schedule=[60])

    async def _befriend(self, name: str, **how: Any) -> None:
        async with self.request() as ctx:
            config = {"name": name}
            await destinations.create(ctx, kind="puppet", name=None, config=config, secret=None, **how)

    # the engine

    async def plan(self, batch: int = 1000, hold_before: datetime | None = None) -> int:
        """Sweep."""
        return await planner.sweep(self.database, self.house.queue, batch=batch, hold_before=hold_before)

    async def rescue(self) -> None:
        """Do what the scheduler does every few seconds."""
        await rescuer.run(self.database, self.house.queue)
        await health.run(self.database)

    async def retain(self) -> None:
        """Forget all that has ended."""
        await retention.run(self.database, 0, rest=0)

    async def deliveries(self, condition: str) -> Sequence[Row[Any]]:
        """Return what meets a condition in SQL, by slot."""
        return await self.sql(DELIVERIES.format(condition=condition))

    async def waiting(self) -> Sequence[Row[Any]]:
        """Return what a job may stand for."""
        return await self.deliveries("d.status IN ('pending', 'retrying')")

    async def pick_up(self, delivery: Row[Any]) -> Hand | None:
        """Do a worker's job up to the moment in which the receiver has the request; None if there is none."""
        hand = Hand(delivery.id)
        self.house.puppet.script.append(hand.send)
        hand.task = asyncio.create_task(self._deliverer().deliver(PROJECT, delivery.id))
        begun = asyncio.create_task(hand.begun.wait())
        await asyncio.wait({hand.task, begun}, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        if not hand.begun.is_set():
            self.house.puppet.script.clear()
            await hand.task
            return None
        self.hands.append(hand)
        return hand

    def _deliverer(self) -> Deliverer:
        books = Bookkeeping(self.database, lease=LEASE)
        return replace(self.house.deliverer, books=books, limits=Limits(NEVER_HERE, 30, 1))

    async def finish(self, hand: Hand, outcome: Outcome, *, arrived: bool) -> None:
        """Have the receiver answer, and the worker write that down."""
        self._let_go(hand, arrived=arrived or outcome.result is AttemptOutcome.DELIVERED)
        hand.answer.set_result(outcome)
        assert hand.task
        await hand.task

    async def crash(self, hand: Hand, *, arrived: bool) -> None:
        """End a worker with a message in hand, which the receiver may have taken."""
        self._let_go(hand, arrived=arrived)
        assert hand.task
        hand.task.cancel()
        with suppress(asyncio.CancelledError):
            await hand.task

    def _let_go(self, hand: Hand, *, arrived: bool) -> None:
        self.hands.remove(hand)
        self.accepted[hand.delivery_id] += arrived
