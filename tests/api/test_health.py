"""What /readyz says of the parts that do not answer requests: Redis, scheduler, worker, queue."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import redis
from sqlalchemy import text

from tests.api.conftest import connect, new_project, running, settings_for
from tests.api.test_outages import beat
from tests.processes import OwnValkey, own_valkey


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[OwnValkey]:
    """Yield a Valkey that may be spoilt."""
    with own_valkey(tmp_path / "valkey") as opened:
        yield opened


@asynccontextmanager
async def healthy(database_url: str, redis_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of an application all of whose parts look alive."""
    async with running(settings_for(database_url, redis_url)) as app:
        await beat(app.state.runtime.database)
        project = await new_project(app.state.runtime.database)
        async with connect(app, await project.new_key("read", "write")) as client:
            client.database = app.state.runtime.database  # type: ignore[attr-defined]
            yield client


async def ailing(client: httpx.AsyncClient) -> dict[str, str]:
    """Return the checks that are not ok; the service must serve all the same."""
    answer = await client.get("/readyz")
    ready = answer.json()
    ails = {name: verdict for name, verdict in ready["checks"].items() if verdict != "ok"}
    assert (answer.status_code, ready["status"]) == (200, "degraded" if ails else "ready")
    return ails


async def test_a_redis_that_may_evict_is_told_of(database_url: str, valkey: OwnValkey) -> None:
    async with healthy(database_url, valkey.url) as client:
        assert await ailing(client) == {}
        valkey.set(maxmemory_policy="volatile-lru")
        said = "wrong eviction policy: volatile-lru, must be noeviction"
        assert await ailing(client) == {"redis": said}


async def test_a_redis_that_is_nearly_full_is_told_of(database_url: str, valkey: OwnValkey) -> None:
    async with healthy(database_url, valkey.url) as client:
        with redis.Redis.from_url(valkey.url) as admin:
            admin.set("filler", "x" * 30_000_000)  # beside it, what connections need is little
        with redis.Redis.from_url(valkey.url) as admin:
            valkey.set(maxmemory=int(admin.info("memory")["used_memory"] * 1.05))
        assert (await ailing(client))["redis"].startswith("nearly full: 9")


async def test_a_full_redis_is_told_of_and_stops_nothing(database_url: str, valkey: OwnValkey) -> None:
    async with healthy(database_url, valkey.url) as client:
        valkey.set(maxmemory=1000)
        assert await ailing(client) == {"redis": "full: it takes no more jobs"}
        made = await client.post("/v1/notifications", json={"title": "x", "schedule": "daily"})
        assert made.status_code == 201
        assert (await client.post(made.headers["location"] + "/send")).status_code == 202
        valkey.set(maxmemory=0)
        assert await ailing(client) == {}


async def test_a_redis_that_only_reads_is_told_of(database_url: str, valkey: OwnValkey) -> None:
    async with healthy(database_url, valkey.url) as client:
        with redis.Redis.from_url(valkey.url) as admin:
            admin.replicaof("127.0.0.1", "1")
            valkey.set(replica_serve_stale_data="yes")
        assert await ailing(client) == {"redis": "read-only: this is a replica"}


async def test_a_redis_that_tells_nothing_of_itself_is_no_worse_for_it(
    database_url: str, valkey: OwnValkey
) -> None:
    with redis.Redis.from_url(valkey.url) as admin:
        admin.execute_command("ACL", "SETUSER", "default", "-info")
    async with healthy(database_url, valkey.url) as client:
        assert await ailing(client) == {}


@pytest.mark.parametrize(
    ("statement", "ails"),
    [
        (
            "UPDATE heartbeats SET beat_at = now() - interval '151 seconds' WHERE name = 'scheduler'",
            "scheduler",
        ),
        ("DELETE FROM heartbeats WHERE name LIKE 'worker:%'", "worker"),
        (
            "UPDATE heartbeats SET beat_at = now() - interval '61 seconds' WHERE name LIKE 'worker:%'",
            "worker",
        ),
        ("UPDATE notifications SET next_due_at = now() - interval '121 seconds'", "queue"),
    ],
)
async def test_what_stands_still_is_told_of(
    database_url: str, redis_url: str, statement: str, ails: str
) -> None:
    async with healthy(database_url, redis_url) as client:
        await client.post("/v1/notifications", json={"title": "x", "schedule": "daily"})
        assert await ailing(client) == {}
        await sql(client, statement)
        assert set(await ailing(client)) == {ails}


async def test_a_message_that_waits_for_two_minutes_is_lag(database_url: str, redis_url: str) -> None:
    async with healthy(database_url, redis_url) as client:
        made = await client.post("/v1/notifications", json={"title": "x", "schedule": "daily"})
        await client.post(made.headers["location"] + "/send")
        assert await ailing(client) == {}
        await sql(client, "UPDATE deliveries SET next_attempt_at = now() - interval '121 seconds'")
        assert await ailing(client) == {"queue": "lagging"}
        ready = (await client.get("/readyz")).json()
        assert (121 <= ready["lag_seconds"] < 180, ready["workers"]) == (True, 1)


async def sql(client: httpx.AsyncClient, statement: str) -> None:
    async with client.database.transaction() as session:  # type: ignore[attr-defined]
        await session.execute(text(statement))
