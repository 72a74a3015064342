"""Half of the servers of workers and schedulers are ill: no process ends, no message is lost."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
import redis

from notifier.embedded.child import Child
from tests.degraded.conftest import set_read_only
from tests.faults.servers import OwnPostgres
from tests.house import House, open_house
from tests.processes import LOOPBACK, OwnValkey, Roles, open_roles, slow_receiver, until


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
        (told,) = [line for line in map(json.loads, roles.log(role).splitlines()) if "complaint" in line]
        assert told["level"] == "error"
        assert alive(child)
