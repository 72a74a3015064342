"""Connections and transactions. The only place that commits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from pydantic_core import from_json
from sqlalchemy import CursorResult, Executable, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from notifier.gathering import Gatherer
from notifier.storage.failures import hide_values
from notifier.storage.tables import LIVE

log = structlog.get_logger(__name__)

Hook = Callable[[], Awaitable[object]]
Find = Callable[["Session", Sequence[Any]], Awaitable[Sequence[Any]]]
"""Reads what is asked for, all of it with one statement, and answers in order."""

CONNECT_SECONDS = 10
"""More than a resolver waits for an answer that was lost."""

COMMAND_SECONDS = 20
"""How long one statement's answer is waited for: more than the server's own limit, which a host that has
vanished cannot keep."""

MOST_TOGETHER = 100
"""Things read with one statement."""

CONNECTION_LIMITS = {
    "timezone": "UTC",
    "statement_timeout": "15s",
    "lock_timeout": "5s",
    # SKIP LOCKED passes silently over what a leaked transaction holds, so none may linger
    "idle_in_transaction_session_timeout": "15s",
}


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock that a transaction follows: the database's (`LIVE`), or a test project's, at `now` (UTC)."""

    id: UUID = LIVE
    now: datetime | None = None


class Session:
    """One open transaction, and what to do once it has committed."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.clock = Clock()
        self._hooks: list[Hook] = []

    async def execute(
        self,
        statement: Executable,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> CursorResult[Any]:
        """Run one statement in the transaction, for many rows if there are many parameters."""
        return await self._connection.execute(statement, parameters)

    async def alone(self, statement: Executable, parameters: Mapping[str, Any]) -> CursorResult[Any]:
        """Run one statement that is all there is to do: a transaction by itself, unless one is open."""
        return await self.execute(statement, parameters)

    async def together(self, find: Find, asked: Sequence[Any]) -> Sequence[Any]:
        """Return what `find` finds; outside of a transaction others ask with the same statement."""
        return await find(self, asked)

    async def ping(self) -> None:
        """Show the server that the transaction is in use."""
        await self.execute(select(1))

    async def follow(self, clock: Clock) -> None:
        """Have SQL's `clock_now()` answer with this clock until the transaction ends."""
        self.clock = clock
        if clock.now is not None:
            await self.execute(select(func.set_config("notifier.now", clock.now.isoformat(), True)))

    def after_commit(self, hook: Hook) -> None:
        """Have `hook` awaited after the commit; dropped on rollback. Its failure is logged, not raised."""
        self._hooks.append(hook)

    async def run_hooks(self) -> None:
        """Await the hooks. What they do can be done again from rows, so an error ends none of the others."""
        for hook in self._hooks:
            try:
                await hook()
            except Exception as error:
                log.warning("after_commit.failed", error=repr(error))


class Database:
    """A pool of connections to one PostgreSQL database, whose transactions follow `clock`."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.clock = Clock()
        self.engine: AsyncEngine = create_async_engine(
            async_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_use_lifo=True,  # the last one used has all it needs in the processor's caches
            pool_timeout=5,
            json_deserializer=from_json,  # the standard library is slow at hundreds of small texts
            hide_parameters=True,  # values of users would stand in errors, and so in logs
            connect_args={
                "server_settings": CONNECTION_LIMITS,
                "timeout": CONNECT_SECONDS,
                "command_timeout": COMMAND_SECONDS,
            },
        )
        event.listen(self.engine.sync_engine, "handle_error", hide_values)
        event.listen(self.engine.sync_engine, "checkout", _check_open)
        self._gatherers: dict[Find, Gatherer[Any, Any]] = {}
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """Yield a session; commit at the end, roll back on any error, then run the hooks."""
        async with self.engine.connect() as connection:
            session = Session(connection)
            await session.follow(self.clock)
            yield session
            await connection.commit()
        await session.run_hooks()

    @asynccontextmanager
    async def deferred(self, clock: Clock) -> AsyncIterator[Session]:
        """Yield a session whose transaction, which follows `clock`, opens when it is needed."""
        async with AsyncExitStack() as stack:
            session = _DeferredSession(self, clock, stack)
            yield session
        await session.run_hooks()

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Session]:
        """Yield a session whose every statement is a transaction by itself: one round trip, not three."""
        if self.clock.now is not None:
            async with self.transaction() as session:
                yield session
            return
        async with self._autocommit.connect() as connection:
            yield Session(connection)

    def reading(self) -> "Session":
        """Return a session for reads, each a transaction by itself; no connection is held in between."""
        return _ReadSession(self)

    def gathered(self, find: Find) -> Gatherer[Any, Any]:
        """Return what asks `find` for all that is wanted in one turn of the event loop, or while it is busy.

        Nothing waits while there is nothing to wait for, and each answer is read after it was asked for.
        """
        if find not in self._gatherers:
            work = partial(find, self.reading())
            self._gatherers[find] = Gatherer(work, window=0, most=MOST_TOGETHER)
        return self._gatherers[find]

    def following(self, clock: Clock) -> "Database":
        """Return the same database, its transactions following another clock."""
        other = copy(self)
        other.clock = clock
        return other

    async def aclose(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


class _ReadSession(Session):
    """Statements that only read, each on the next free connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.clock = database.clock

    async def execute(
        self,
        statement: Executable,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> CursorResult[Any]:
        """Run one statement; its rows are all there when it returns."""
        async with self._database.statement() as session:
            return await session.execute(statement, parameters)

    async def together(self, find: Find, asked: Sequence[Any]) -> Sequence[Any]:
        """Return what is asked for, read together with what others ask for; by a clock of its own, alone."""
        if self.clock.now is not None:
            return await find(self, asked)
        ask = self._database.gathered(find)
        return [await ask(asked[0])] if len(asked) == 1 else await asyncio.gather(*map(ask, asked))

    async def follow(self, clock: Clock) -> None:
        """Have each statement follow this clock, in a transaction of its own."""
        self.clock = clock
        self._database = self._database.following(clock)

    def after_commit(self, hook: Hook) -> None:  # noqa: ARG002
        """Refuse: what reads has nothing to commit."""
        raise TypeError("a session that reads commits nothing")


class _DeferredSession(Session):
    """A transaction that opens with the first statement that needs one: BEGIN and COMMIT cost a turn each."""

    def __init__(self, database: Database, clock: Clock, stack: AsyncExitStack) -> None:
        self._database = database
        self.clock = clock
        self._stack = stack
        self._opened: Session | None = None
        self._hooks = []

    @property
    def _bound(self) -> bool:
        """Whether statements have to run in the transaction: once it is open, or for the clock it follows."""
        return self._opened is not None or self.clock.id != LIVE

    async def execute(
        self,
        statement: Executable,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> CursorResult[Any]:
        """Run one statement in the transaction; the first one opens it."""
        if self._opened is None:
            opening = self._database.following(self.clock).transaction()
            self._opened = await self._stack.enter_async_context(opening)
        return await self._opened.execute(statement, parameters)

    async def alone(self, statement: Executable, parameters: Mapping[str, Any]) -> CursorResult[Any]:
        """Run one statement, committed with it unless a transaction is open."""
        if self._bound:
            return await self.execute(statement, parameters)
        async with self._database.statement() as session:
            return await session.execute(statement, parameters)

    async def together(self, find: Find, asked: Sequence[Any]) -> Sequence[Any]:
        """Return what is asked for; together with what others ask for, unless a transaction is open."""
        return await (find(self, asked) if self._bound else self._database.reading().together(find, asked))

    async def ping(self) -> None:
        """Show the server that the transaction is in use, if there is one."""
        if self._opened is not None:
            await super().ping()


def _check_open(connection: Any, _record: object, _proxy: object) -> None:
    """Have the pool replace its connections if the server has closed this one.

    The driver has heard of it by now, so there is no need to ask the server each time.
    """
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError


def async_url(url: str) -> str:
    """Return `url` with the asyncpg driver named, as SQLAlchemy wants it."""
    return make_url(url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
