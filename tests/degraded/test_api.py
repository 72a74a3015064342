"""Half of the API's servers are ill: it says so, does what it still can, and recovers by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest

from tests import servers
from tests.api.conftest import connect, new_project, running, settings_for
from tests.degraded.conftest import set_read_only
from tests.faults.servers import OwnPostgres
from tests.processes import OwnValkey, until

DRAFT = {"title": "x", "schedule": "daily"}


@asynccontextmanager
async def api(database_url: str, redis_url: str, **settings: object) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of an application on these servers, whose key may read and write."""
    async with running(settings_for(database_url, redis_url, **settings)) as app:
        project = await new_project(app.state.runtime.database)
        async with connect(app, await project.new_key("read", "write")) as client:
            yield client


async def create(client: httpx.AsyncClient) -> int:
    """Return the status that a new notification is answered with; 503 must say when to try again."""
    async with asyncio.timeout(15):
        answer = await client.post("/v1/notifications", json=DRAFT)
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
        async with asyncio.timeout(8):
            sent = await client.post(made.headers["location"] + "/send")
        valkey.thaw()
    assert (made.status_code, sent.status_code) == (201, 202)
