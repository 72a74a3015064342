"""When the database or Redis is away."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
from alembic import command
from sqlalchemy.engine import make_url

from notifier.pipeline.planner import SCHEDULER
from notifier.storage import audit, engine, migrations, planning
from notifier.storage.engine import Database
from tests.api.conftest import Project, connect, new_project, running, settings_for
from tests.api.test_bad_input import assert_problem
from tests.storage.test_migrations import make_newer


@pytest.fixture(scope="module")
def dead_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


DEAD_DATABASES = [
    "postgresql://notifier@127.0.0.1:{port}/notifier",
    "postgresql://notifier@/notifier?host=/nowhere",
    "postgresql://notifier@nowhere.invalid/notifier",
]


CALLS = [
    ("GET", "/v1/notifications", None),
    ("POST", "/v1/notifications", {"title": "x", "schedule": "daily"}),
    ("GET", "/v1/deliveries/01a20322-0000-7000-8000-000000000000", None),
]


@pytest.mark.parametrize("url", DEAD_DATABASES)
async def test_without_a_database_every_call_says_try_again(url: str, redis_url: str, dead_port: int) -> None:
    settings = settings_for(url.format(port=dead_port), redis_url)
    async with running(settings) as app, connect(app, "ntf_any") as client:
        for method, path, body in CALLS:
            answer = await client.request(method, path, json=body)
            assert_problem(answer, 503, "unavailable")
            assert answer.headers["retry-after"] == "5"
        assert (await client.get("/healthz")).status_code == 200
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        assert ready.json()["checks"]["database"] == "unavailable"
        assert ready.json()["checks"]["redis"] == "ok"


@pytest.mark.parametrize("wrong", ["://nobody@", "/no_such_database?"])
async def test_a_database_that_does_not_let_us_in_is_unavailable(
    database_url: str, redis_url: str, wrong: str
) -> None:
    part = r"://[^@]*@" if "@" in wrong else r"/test_\w+\?"
    settings = settings_for(re.sub(part, wrong, database_url), redis_url)
    async with running(settings) as app, connect(app, "ntf_any") as client:
        assert_problem(await client.get("/v1/notifications"), 503, "unavailable")


async def schema_of(database_url: str, redis_url: str) -> tuple[int, str]:
    """Return what /readyz answers, and what it says of the database."""
    async with running(settings_for(database_url, redis_url)) as app, connect(app) as client:
        ready = await client.get("/readyz")
    return ready.status_code, ready.json()["checks"]["database"]


async def test_a_database_without_the_schema_is_not_ready(empty_database_url: str, redis_url: str) -> None:
    status, said = await schema_of(empty_database_url, redis_url)
    assert status == 503
    assert said.startswith("wrong schema: the database has no schema")
    assert "run `notifier migrate`" in said


async def test_a_database_with_an_older_schema_is_not_ready(empty_database_url: str, redis_url: str) -> None:
    await asyncio.to_thread(command.upgrade, migrations.config(empty_database_url), "0001")
    status, said = await schema_of(empty_database_url, redis_url)
    assert status == 503
    assert said.startswith("wrong schema: the database has the schema 0001, this version needs ")
    assert said.endswith("run `notifier migrate`")


async def test_while_an_upgrade_rolls_out_the_version_before_stays_ready(
    database_url: str, redis_url: str
) -> None:
    await make_newer(database_url)
    assert await schema_of(database_url, redis_url) == (200, "ok")


class Line:
    """A line to the database that can be cut without a word, as when a host vanishes."""

    def __init__(self, database_url: str) -> None:
        self._socket = f"{make_url(database_url).query['host']}/.s.PGSQL.5432"
        self._connected = asyncio.Event()
        self._connected.set()

    def cut(self) -> None:
        self._connected.clear()

    def mend(self) -> None:
        self._connected.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_database, to_database = await asyncio.open_unix_connection(self._socket)
        await asyncio.gather(self._copy(reader, to_database), self._copy(from_database, writer))

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                await self._connected.wait()
                target.write(data)
        target.close()


async def test_a_database_that_vanishes_is_unavailable_and_found_again(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "COMMAND_SECONDS", 0.3)
    monkeypatch.setattr(engine, "CONNECT_SECONDS", 0.3)
    line = Line(database_url)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = make_url(database_url).set(host="127.0.0.1", port=port, query={})
    settings = settings_for(url.render_as_string(hide_password=False), redis_url)
    async with server, running(settings) as app, connect(app, "ntf_any") as client:
        assert (await client.get("/v1/notifications")).status_code == 401
        line.cut()
        for _ in range(2):
            async with asyncio.timeout(10):
                answer = await client.get("/v1/notifications")
            assert_problem(answer, 503, "unavailable")
        line.mend()
        assert (await client.get("/v1/notifications")).status_code == 401


@pytest.fixture
async def without_redis(
    database_url: str, dead_port: int
) -> AsyncIterator[tuple[httpx.AsyncClient, Project]]:
    """Yield a client of an application whose Redis is away."""
    async with running(settings_for(database_url, f"redis://127.0.0.1:{dead_port}/0")) as app:
        project = await new_project(app.state.runtime.database)
        async with connect(app, await project.new_key("write")) as client:
            yield client, project


async def test_without_redis_everything_works(without_redis: tuple[httpx.AsyncClient, Project]) -> None:
    client, _ = without_redis
    made = await client.post("/v1/notifications", json={"title": "x", "schedule": "daily"})
    assert made.status_code == 201
    sent = await client.post(made.headers["location"] + "/send")
    assert sent.status_code == 202
    (queued,) = (await client.get("/v1/deliveries")).json()["items"]
    assert queued == sent.json()["deliveries"][0]
    assert queued["status"] == "pending"


async def test_without_redis_the_service_is_ready_but_degraded(
    without_redis: tuple[httpx.AsyncClient, Project],
) -> None:
    client, project = without_redis
    await beat(project.database)
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["status"] == "degraded"
    checks = ready.json()["checks"]
    assert {name for name, verdict in checks.items() if verdict != "ok"} == {"redis"}
    assert checks["redis"] == "unavailable"


async def beat(database: Database) -> None:
    """Have a scheduler and a worker look alive."""
    async with database.transaction() as session:
        for name in (SCHEDULER, audit.WORKER + "one"):
            await planning.beat(session, name)


async def test_with_all_its_parts_the_service_is_ready(database_url: str, redis_url: str) -> None:
    async with running(settings_for(database_url, redis_url)) as app, connect(app) as client:
        before = await client.get("/readyz")
        await beat(app.state.runtime.database)
        after = await client.get("/readyz")
    assert (before.status_code, before.json()["status"]) == (200, "degraded")
    assert before.json()["checks"]["scheduler"] == "no recent sweep"
    assert before.json()["checks"]["worker"] == "none alive"
    assert (after.status_code, after.json()["status"]) == (200, "ready")
    assert 0 <= after.json()["seconds_since_sweep"] < 60


async def test_the_process_says_that_it_lives(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_a_sent_message_rings_in_the_queue(database_url: str, redis_url: str) -> None:
    async with running(settings_for(database_url, redis_url)) as app:
        project = await new_project(app.state.runtime.database)
        async with connect(app, await project.new_key("write")) as client:
            made = await client.post("/v1/notifications", json={"title": "x", "schedule": "daily"})
            sent = await client.post(made.headers["location"] + "/send")
        queue = app.state.runtime.queue
        jobs = await queue.redis.zrange(queue.name, 0, -1)
    delivery = sent.json()["deliveries"][0]["id"].replace("-", "")
    assert jobs == [f"{delivery}:1".encode()]
