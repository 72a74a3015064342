"""A test project whose clock stands where a test puts it, so that the ledger can be told to the second."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from notifier.channels.capture import Capture
from notifier.clock import new_id
from notifier.domain.delivery import Envelope
from notifier.pipeline import planner, settling
from notifier.pipeline.bookkeeping import Bookkeeping
from notifier.pipeline.rehearsal import Rehearsal, Rehearsed
from notifier.services import notifications
from notifier.services.context import Caller, Context
from notifier.storage.engine import Clock, Database
from tests.house import DRAFT, House, rows_of

Line = tuple[str, str]
"""A slot as a test writes it down: when, and how it stands."""


def utc(written: str) -> datetime:
    """Read `2027-03-28T09:00`, UTC."""
    return datetime.fromisoformat(written).replace(tzinfo=UTC)


def shown(at: datetime | None) -> str | None:
    """Write an instant as `2027-03-28T09:00`, UTC; the seconds only where there are any."""
    return at and at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="auto").removesuffix(":00")


def status(row: Row[Any]) -> str:
    """Write how a row of the ledger stands: `missed(coalesced)`; a range with its count and end."""
    how = f"{row.status}({row.reason})" if row.reason else str(row.status)
    return how if row.slot_count == 1 else f"{how} x{row.slot_count} to {shown(row.range_end)}"


@dataclass
class Timeline:
    """One test project; `now` is where its clock stands."""

    house: House
    now: datetime
    project_id: UUID = field(default_factory=new_id)

    @property
    def database(self) -> Database:
        """The database, by this project's clock."""
        return self.house.database.following(Clock(self.project_id, self.now))

    async def open(self) -> None:
        """Make the project."""
        await self.house.sql(
            "INSERT INTO projects (id, name, mode, clock_at) VALUES (:id, 't', 'test', :at)",
            id=self.project_id,
            at=self.now,
        )

    async def set_clock(self, at: str) -> None:
        """Put the clock to an instant while nothing runs."""
        self.now = utc(at)
        await self.house.sql(
            "UPDATE projects SET clock_at = :at WHERE id = :id", id=self.project_id, at=self.now
        )

    @asynccontextmanager
    async def context(self) -> AsyncIterator[Context]:
        """Yield the context of one request, committed at the end."""
        caller = Caller(self.project_id, "tests", frozenset({"admin"}))
        runtime = self.house.runtime
        settle = partial(settling.settle, queue=runtime.queue)
        async with self.database.transaction() as session:
            yield Context(session, caller, self.now, runtime.channels, runtime.queue, runtime.cipher, settle)

    async def create(self, schedule: object, **draft: Any) -> str:
        """Add a notification as users do; return its id."""
        async with self.context() as ctx:
            made = await notifications.create(ctx, {**DRAFT, **draft, "schedule": schedule})
        return str(made.row.id)

    async def sweep(self, at: str | None = None, *, hold_before: str | None = None) -> int:
        """Run the planner at an instant; nothing has run since the clock was last set."""
        if at:
            await self.set_clock(at)
        held = hold_before and utc(hold_before)
        return await planner.sweep(self.database, None, batch=1000, hold_before=held or None)

    async def sql(self, statement: str, **parameters: Any) -> Sequence[Row[Any]]:
        """Run one statement by this project's clock; return its rows, if it has any."""
        async with self.database.transaction() as session:
            return await rows_of(session, statement, **parameters)

    async def deliver(self, delivery: Row[Any]) -> None:
        """Do the worker's job for a delivery, with the puppet."""
        books = Bookkeeping(self.database, lease=60)
        await replace(self.house.deliverer, books=books).deliver(self.project_id, delivery.id)

    async def advance(self, to: str, *, down: bool = False) -> Rehearsed:
        """Run planner and deliverer forward to an instant."""
        rehearsal = Rehearsal(self.house.database, self.house.deliverer, self.project_id, self.now, Capture())
        done = await rehearsal.advance(utc(to), down=down)
        self.now = done.now
        return done

    async def arrive(self, to: str) -> list[Envelope]:
        """Advance until the instant is reached, however many calls that takes; return all messages."""
        messages: list[Envelope] = []
        while not (done := await self.advance(to)).complete:
            messages += done.messages
        return messages + done.messages

    async def notification(self, wanted: str) -> Row[Any]:
        """Return a notification's row."""
        return await self.house.notification(UUID(wanted))

    async def rows(self) -> Sequence[Row[Any]]:
        """Return the project's ledger, by slot."""
        return await self.sql(
            "SELECT * FROM deliveries WHERE project_id = :id ORDER BY scheduled_for, id", id=self.project_id
        )

    async def ledger(self) -> list[Line]:
        """Return the project's ledger as lines."""
        return [(shown(row.scheduled_for) or "", status(row)) for row in await self.rows()]
