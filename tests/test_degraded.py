"""Half of the service's servers are ill: the rest works on, says so, and all of it recovers by itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import httpx
import pytest
import redis

from notifier.embedded.child import Child
from notifier.storage.migrations import upgrade
from tests import servers
from tests.api.conftest import connect, new_project, running, settings_for
from tests.faults.servers import OwnPostgres, own_postgres
from tests.house import House, open_house
from tests.processes import LOOPBACK, OwnValkey, Roles, open_roles, own_valkey, slow_receiver, until

DRAFT = {"title": "x", "schedule": "daily"}


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[OwnPostgres]:
    """Yield a migrated PostgreSQL with few connections, that may be harmed."""
    with own_postgres(tmp_path / "postgres", "max_connections=25", "fsync=off") as opened:
        servers.run_apart(upgrade(opened.url))
        yield opened


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[OwnValkey]:
    """Yield a Valkey that may be harmed."""
    with own_valkey(tmp_path / "valkey") as opened:
        yield opened


@asynccontextmanager
async def api(database_url: str, redis_url: str, **settings: object) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of an application on these servers, whose key may read and write."""
    async with running(settings_for(database_url, redis_url, **settings)) as app:
        project = await new_project(app.state.runtime.database)
        async with connect(app, await project.new_key("read", "write")) as client:
            yield client


async def create(client: httpx.AsyncClient) -> int:
    """Return the status that a new notification is answered with; 503 must say when to try again."""
    answer = await asyncio.wait_for(client.post("/v1/notifications", json=DRAFT), 15)
    if answer.status_code == 503:
        assert answer.json()["type"] == "urn:notifier:problem:unavailable"
        assert answer.headers["retry-after"] == "5"
    return answer.status_code


async def test_while_postgresql_restarts_the_api_answers_503_and_then_works_again(
    postgres: OwnPostgres, redis_url: str
) -> None:
    async with api(postgres.url, redis_url) as client:
        seen: list[int] = []
        enough = asyncio.Event()

        async def ask() -> None:
            while not enough.is_set():
                seen.append(await create(client))

        asking = [asyncio.create_task(ask()) for _ in range(5)]
        try:
            await until(lambda: seen.count(201) >= 5)
            await asyncio.to_thread(postgres.stop_at_once)
            await until(lambda: 503 in seen)
            await asyncio.to_thread(postgres.start)
            seen.clear()
            await until(lambda: seen.count(201) >= 5)
        finally:
            enough.set()
            await asyncio.gather(*asking)
        assert set(seen) <= {201, 503}


async def test_a_database_that_only_reads_answers_reads(postgres: OwnPostgres, redis_url: str) -> None:
    async with api(postgres.url, redis_url) as client:
        assert await create(client) == 201
        await set_read_only(postgres, "on")
        assert await create(client) == 503
        assert (await client.get("/v1/notifications")).status_code == 200
        await set_read_only(postgres, "off")
        assert await create(client) == 201


async def set_read_only(postgres: OwnPostgres, value: str) -> None:
    """Have every transaction that begins from now on only read, or write again."""
    await servers.execute(postgres.url, f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    await servers.execute(postgres.url, "SELECT pg_reload_conf()")

    async def holds() -> bool:
        connection = await asyncpg.connect(postgres.url)
        found = await connection.fetchval("SHOW default_transaction_read_only")
        await connection.close()
        return bool(found == value)

    await until(holds)


async def take_every_connection(postgres: OwnPostgres, taken: list[asyncpg.Connection]) -> None:
    while True:
        taken.append(await asyncpg.connect(postgres.url))


async def test_a_database_without_a_free_connection_is_unavailable_until_one_is_free(
    postgres: OwnPostgres, redis_url: str
) -> None:
    async with running(settings_for(postgres.url, redis_url)) as app:
        key = await (await new_project(app.state.runtime.database)).new_key("write")
    others: list[asyncpg.Connection] = []
    with pytest.raises(asyncpg.TooManyConnectionsError):
        await take_every_connection(postgres, others)
    async with running(settings_for(postgres.url, redis_url)) as app, connect(app, key) as client:
        assert await create(client) == 503
        assert (await client.get("/readyz")).status_code == 503
        for one in others:
            await one.close()

        async def created() -> bool:
            return await create(client) == 201

        await until(created)


FULL_DISK = """
CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER no_space BEFORE INSERT ON notifications FOR EACH ROW EXECUTE FUNCTION no_space();
"""


async def test_a_database_whose_disk_is_full_takes_nothing_and_answers_reads(
    database_url: str, redis_url: str
) -> None:
    async with api(database_url, redis_url) as client:
        await servers.execute(database_url, FULL_DISK)
        assert await create(client) == 503
        listed = await client.get("/v1/notifications")
        assert (listed.status_code, listed.json()["items"]) == (200, [])
        await servers.execute(database_url, "DROP TRIGGER no_space ON notifications")
        assert await create(client) == 201


async def test_with_a_frozen_redis_a_message_is_queued_within_seconds(
    database_url: str, valkey: OwnValkey
) -> None:
    async with api(database_url, valkey.url) as client:
        valkey.freeze()
        made = await client.post("/v1/notifications", json=DRAFT)
        sent = await asyncio.wait_for(client.post(made.headers["location"] + "/send"), 8)
        valkey.thaw()
    assert (made.status_code, sent.status_code) == (201, 202)


@asynccontextmanager
async def processes(folder: Path, database_url: str, redis_url: str) -> AsyncIterator[tuple[House, Roles]]:
    """Yield a wired service, and its processes on the same servers."""
    async with open_house(database_url, redis_url, allow_private_destinations=LOOPBACK) as house:
        with open_roles(folder / "roles", database_url, redis_url) as roles:
            yield house, roles


async def all_delivered(house: House) -> bool:
    return {row.status for row in await house.deliveries()} == {"delivered"}


async def ring_old(house: House) -> None:
    """Have the rescuer look at once for what has no job, not in half a minute."""
    await house.sql("UPDATE deliveries SET enqueued_at = enqueued_at - interval '31 seconds'")


def alive(*children: Child) -> bool:
    return all(child.exit_code() is None for child in children)


async def test_a_full_redis_ends_no_process_and_loses_no_message(
    database_url: str, tmp_path: Path, valkey: OwnValkey
) -> None:
    async with processes(tmp_path, database_url, valkey.url) as (house, roles):
        worker, scheduler = roles.start("worker"), roles.start("scheduler")
        await until(lambda: both_run(house), what="both processes")
        valkey.set(maxmemory=1000)
        await house.create_due(to=["log:"])
        with suppress(redis.exceptions.OutOfMemoryError):
            await house.plan()
        await asyncio.sleep(1.5)  # polls and heartbeats on a Redis that takes nothing
        assert alive(worker, scheduler), worker.last_lines() + scheduler.last_lines()
        assert (await house.delivery()).status == "pending"
        valkey.set(maxmemory=0)
        await ring_old(house)
        await until(lambda: all_delivered(house))
        assert alive(worker, scheduler)


async def both_run(house: House) -> bool:
    rows = await house.sql("SELECT name FROM heartbeats WHERE name = 'scheduler' OR name LIKE 'worker:%'")
    return len(rows) == 2


async def test_an_emptied_redis_loses_no_message(
    database_url: str, tmp_path: Path, valkey: OwnValkey
) -> None:
    async with processes(tmp_path, database_url, valkey.url) as (house, roles):
        scheduler = roles.start("scheduler")
        await house.plan_one(to=["log:"])
        await house.queue.redis.flushall()
        await ring_old(house)
        worker = roles.start("worker")
        await until(lambda: all_delivered(house))
        assert alive(worker, scheduler)


async def test_a_frozen_redis_ends_no_process(database_url: str, tmp_path: Path, valkey: OwnValkey) -> None:
    async with processes(tmp_path, database_url, valkey.url) as (house, roles):
        worker, scheduler = roles.start("worker"), roles.start("scheduler")
        await until(lambda: both_run(house), what="both processes")
        valkey.freeze()
        await house.create_due(to=["log:"])
        with suppress(redis.exceptions.RedisError):
            await house.plan()
        assert alive(worker, scheduler)
        valkey.thaw()
        await ring_old(house)
        await until(lambda: all_delivered(house), 40)
        assert alive(worker, scheduler)


class Line:
    """A line to Redis that can go dead without a word, as when a router forgets it; new calls get through."""

    def __init__(self, redis_url: str) -> None:
        self._socket = redis_url.removeprefix("unix://").split("?")[0]
        self._dead = asyncio.Event()

    def go_dead(self) -> None:
        """Let nothing more through on the connections that there are."""
        self._dead.set()
        self._dead = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_redis, to_redis = await asyncio.open_unix_connection(self._socket)
        dead = self._dead
        await asyncio.gather(self._copy(reader, to_redis, dead), self._copy(from_redis, writer, dead))

    async def _copy(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, dead: asyncio.Event
    ) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                if dead.is_set():
                    continue
                target.write(data)
        target.close()


async def test_a_worker_whose_line_to_redis_went_dead_calls_again(
    database_url: str, tmp_path: Path, valkey: OwnValkey
) -> None:
    line = Line(valkey.url)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    async with server, processes(tmp_path, database_url, valkey.url) as (house, roles):
        worker = roles.start("worker", REDIS_URL=url)
        first = await house.plan_one(to=["log:"])
        await until(lambda: all_delivered(house))
        line.go_dead()
        await house.make_due(first.notification_id)
        await house.plan()
        await until(lambda: all_delivered(house), 40)
        assert alive(worker)


async def test_a_database_that_only_reads_for_a_while_ends_no_process(
    postgres: OwnPostgres, tmp_path: Path, redis_url: str
) -> None:
    few = {"DATABASE_POOL_SIZE": 4}
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(slow_receiver())
        opened = processes(tmp_path, postgres.url, redis_url)
        house, roles = await stack.enter_async_context(opened)
        worker, scheduler = roles.start("worker", **few), roles.start("scheduler", **few)
        await until(lambda: both_run(house), what="both processes")
        await house.plan_one(to=[receiver.url])
        await until(lambda: all_delivered(house))
        second = await house.create_due(to=[receiver.url])
        await set_read_only(postgres, "on")
        with suppress(Exception):
            await house.plan()
        await asyncio.sleep(1.5)  # passes of the rescuer, beats of the worker
        assert alive(worker, scheduler), worker.last_lines() + scheduler.last_lines()
        await set_read_only(postgres, "off")
        assert (await house.notification(second)).status == "active"
        await house.plan()
        await until(lambda: all_delivered(house))
        assert alive(worker, scheduler)
    assert len(receiver.ids) == len(set(receiver.ids)) == 2


@pytest.mark.parametrize("role", ["worker", "scheduler"])
async def test_a_process_says_loudly_at_its_start_that_redis_may_evict(
    database_url: str, tmp_path: Path, valkey: OwnValkey, role: str
) -> None:
    valkey.set(maxmemory_policy="allkeys-lru")
    async with processes(tmp_path, database_url, valkey.url) as (_, roles):
        child = roles.start(role)
        await until(lambda: "redis.unfit" in roles.log(role))
        assert "wrong eviction policy: allkeys-lru, must be noeviction" in roles.log(role)
        assert '"level": "error"' in roles.log(role)
        assert alive(child)
