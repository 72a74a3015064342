"""A wired service on a real database and a real queue, and a channel that does as it is told."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Row, text

from notifier import jobs
from notifier.channels.base import Channel, ChannelConfig
from notifier.channels.registry import Registry, build
from notifier.clock import new_id
from notifier.domain.delivery import Envelope, Outcome
from notifier.pipeline import planner, rescuer, settling
from notifier.pipeline.deliverer import Deliverer
from notifier.runtime import Runtime
from notifier.services import notifications
from notifier.services.context import Caller, Context
from notifier.settings import Settings
from notifier.storage import access
from notifier.storage.encryption import Cipher
from notifier.storage.engine import Database, Session

PROJECT = access.DEFAULT_PROJECT
SECRET_KEY = "a-key-for-tests-of-at-least-32-characters"
DRAFT = {
    "title": "Water the plants",
    "body": "",
    "data": {},
    "schedule": "daily",
    "start_at": None,
    "to": ["puppet:a"],
    "external_id": None,
}
Act = Outcome | Exception | Callable[[Envelope], Awaitable[Outcome]]


class PuppetConfig(ChannelConfig):
    """A puppet has a name, so that there can be several destinations."""

    name: str

    @property
    def label(self) -> str:
        """The name."""
        return self.name


class Puppet:
    """A channel that records envelopes and answers with `script` in turn, then with success."""

    kind: ClassVar[str] = "puppet"
    config_model: ClassVar[type[ChannelConfig]] = PuppetConfig
    signs: ClassVar[bool] = True
    address_form: ClassVar[str] = "puppet:name"

    def __init__(self) -> None:
        self.sent: list[Envelope] = []
        self.script: deque[Act] = deque()

    @classmethod
    def parse_address(cls, address: str) -> Mapping[str, Any] | None:
        """Read `puppet:name`."""
        return {"name": address.removeprefix("puppet:")} if address.startswith("puppet:") else None

    def receiver(self, config: Mapping[str, Any]) -> str:
        """Each puppet is a server of its own."""
        return str(config["name"])

    def prepare(self, envelope: Envelope) -> Callable[[], Awaitable[Outcome]]:
        """Nothing can be done beforehand."""
        return partial(self._send, envelope)

    async def _send(self, envelope: Envelope) -> Outcome:
        """Do what the script says."""
        self.sent.append(envelope)
        act = self.script.popleft() if self.script else Outcome.delivered()
        if isinstance(act, Exception):
            raise act
        return act if isinstance(act, Outcome) else await act(envelope)

    async def aclose(self) -> None:
        """Nothing to let go of."""


@dataclass
class House:
    """One wired service; its methods are what tests do all the time."""

    runtime: Runtime
    puppet: Puppet
    project_id: UUID = PROJECT
    deliverer: Deliverer = field(init=False)

    def __post_init__(self) -> None:
        self.deliverer = self.runtime.deliverer()

    @property
    def database(self) -> Database:
        return self.runtime.database

    @property
    def queue(self) -> jobs.Queue:
        return self.runtime.queue

    @asynccontextmanager
    async def context(self) -> AsyncIterator[Context]:
        """Yield the context of one request, committed at the end."""
        caller = Caller(self.project_id, "tests", frozenset({"admin"}))
        async with self.database.transaction() as session:
            now = (await session.execute(text("SELECT now()"))).scalar_one()
            hold_after = self.runtime.settings.hold_after
            settle = partial(settling.settle, queue=self.queue, hold_after=hold_after)
            tools = (self.runtime.channels, self.queue, self.runtime.cipher, settle)
            yield Context(session, caller, now, *tools)

    async def create(self, **draft: Any) -> Row[Any]:
        """Add a notification as users do, not yet due."""
        async with self.context() as ctx:
            return (await notifications.create(ctx, {**DRAFT, **draft})).row

    async def create_due(self, ago: str = "1 second", **draft: Any) -> UUID:
        """Add a notification that has been due for a while."""
        row = await self.create(**draft)
        await self.make_due(row.id, ago)
        return UUID(str(row.id))

    async def make_due(self, notification_id: UUID, ago: str = "1 second") -> None:
        """Move a notification's clock back to where it is due."""
        await self.sql(
            "UPDATE notifications SET next_due_at = now() - CAST(:ago AS text)::interval,"
            " anchor_at = now() - CAST(:ago AS text)::interval - interval '1 day' WHERE id = :id",
            id=notification_id,
            ago=ago,
        )

    async def sql(self, statement: str, **parameters: Any) -> Sequence[Row[Any]]:
        """Run one statement in a transaction of its own; return its rows, if it has any."""
        async with self.database.transaction() as session:
            return await rows_of(session, statement, **parameters)

    async def one(self, statement: str, **parameters: Any) -> Row[Any]:
        """Return the only row of a query."""
        (row,) = await self.sql(statement, **parameters)
        return row

    async def notification(self, notification_id: UUID) -> Row[Any]:
        return await self.one("SELECT * FROM notifications WHERE id = :id", id=notification_id)

    async def deliveries(self) -> Sequence[Row[Any]]:
        """Return the whole ledger, by slot."""
        return await self.sql("SELECT * FROM deliveries ORDER BY scheduled_for, id")

    async def delivery(self) -> Row[Any]:
        """Return the only delivery."""
        (row,) = await self.deliveries()
        return row

    async def attempts(self) -> Sequence[Row[Any]]:
        return await self.sql("SELECT * FROM attempts ORDER BY delivery_id, number")

    async def plan(self, batch: int = 1000) -> int:
        return await planner.sweep(self.database, self.queue, batch=batch)

    async def plan_one(self, **draft: Any) -> Row[Any]:
        """Return the delivery of a notification that was due and has been planned."""
        await self.create_due(**draft)
        await self.plan()
        return await self.delivery()

    async def send(self, delivery: Row[Any] | None = None) -> Row[Any]:
        """Do the worker's job for a delivery (the only one, if none is given); return it afterwards."""
        row = delivery or await self.delivery()
        await self.deliverer.deliver(row.project_id, row.id)
        return await self.one("SELECT * FROM deliveries WHERE id = :id", id=row.id)

    async def rescue(self) -> rescuer.Rescued:
        return await rescuer.run(self.database, self.queue)

    async def rung(self) -> list[str]:
        """Return the ids of the jobs that wait."""
        return sorted(one.decode() for one in await self.queue.redis.zrange(self.queue.name, 0, -1))


def settings(database_url: str, redis_url: str, **changes: Any) -> Settings:
    """Return settings for tests."""
    values = {"database_url": database_url, "redis_url": redis_url, "secret_key": SECRET_KEY, **changes}
    return Settings(**values)


@asynccontextmanager
async def open_house(database_url: str, redis_url: str, **changes: Any) -> AsyncIterator[House]:
    """Yield a wired service with a puppet beside its real channels."""
    chosen, puppet = settings(database_url, redis_url, **changes), Puppet()
    real = build(chosen)
    channels: list[Channel] = [puppet, *(real.get(kind) for kind in real.kinds)]
    runtime = Runtime(
        chosen,
        Database(database_url, pool_size=chosen.database_pool_size),
        jobs.connect(redis_url),
        Registry(chosen, channels),
        Cipher(SECRET_KEY),
    )
    async with runtime.database.transaction() as session:
        await access.ensure_default_project(session)
    try:
        yield House(runtime, puppet)
    finally:
        await runtime.channels.aclose()
        await runtime.queue.aclose()
        await runtime.database.aclose()


async def rows_of(session: Session, statement: str, **parameters: Any) -> Sequence[Row[Any]]:
    """Run one statement in an open transaction; return its rows, if it has any."""
    result = await session.execute(text(statement), parameters)
    return result.all() if result.returns_rows else []


async def bulk_due(house: House, count: int, *, to: str = "puppet:a", ago: str = "1 second") -> None:
    """Add many due notifications with one destination by copying one that was made as users do."""
    first = await house.create_due(ago, to=[to])
    ids = [new_id() for _ in range(count - 1)]
    columns = "project_id, title, body, data, schedule, anchor_at, drift_seconds, next_due_at, updated_at"
    await house.sql(
        f"INSERT INTO notifications (id, {columns})"
        f" SELECT new.id, {columns} FROM notifications AS n, unnest(CAST(:ids AS uuid[])) AS new (id)"
        " WHERE n.id = :first",
        ids=ids,
        first=first,
    )
    await house.sql(
        "INSERT INTO notification_revisions"
        " (project_id, notification_id, revision, title, body, data, schedule, changed_by)"
        " SELECT project_id, id, revision, title, body, data, schedule, 'tests' FROM notifications"
        " WHERE id = ANY(:ids)",
        ids=ids,
    )
    await house.sql(
        "INSERT INTO notification_destinations (project_id, notification_id, destination_id, position)"
        " SELECT n.project_id, n.id, used.destination_id, 0"
        " FROM notifications AS n, notification_destinations AS used"
        " WHERE used.notification_id = :first AND n.id = ANY(:ids)",
        first=first,
        ids=ids,
    )


def hours(later: datetime, earlier: datetime) -> float:
    """Return the hours between two instants."""
    return (later - earlier).total_seconds() / 3600
