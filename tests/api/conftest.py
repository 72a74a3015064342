"""The API, in this process, on a real database and a real Valkey.

One application serves all tests of a process; each test has projects of its own, which keeps it apart from
the others as projects are kept apart from one another.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

import httpx
import pytest
import structlog
from fastapi import FastAPI
from sqlalchemy import insert

from notifier.app import create_app
from notifier.clock import new_id
from notifier.settings import Settings
from notifier.storage import access
from notifier.storage.engine import Database
from notifier.storage.tables import api_keys, projects
from tests import servers

BASE = "http://notifier.test"
SECRET_KEY = "a-key-for-tests-only-0123456789abcdef"


def settings_for(database_url: str, redis_url: str, **others: object) -> Settings:
    """Return settings for servers of this test."""
    return Settings(database_url=database_url, redis_url=redis_url, secret_key=SECRET_KEY, **others)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[FastAPI]:
    """Yield the application between its start and its end."""
    # structlog's own default prints the locals of every frame: seconds of work for each error
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, plain])
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


def connect(app: FastAPI, key: str | None = None) -> httpx.AsyncClient:
    """Return a client; an error that the app does not handle is a 500, as it would be on a server."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers)


@pytest.fixture(scope="session")
async def shared_database_url(postgres_url: str, template: str) -> AsyncIterator[str]:
    """Yield the database of this process's application."""
    url = await servers.copy_database(postgres_url, template)
    yield url
    await servers.drop_database(postgres_url, url)


@pytest.fixture(scope="session")
async def app(shared_database_url: str, servers_folder: Path) -> AsyncIterator[FastAPI]:
    """Yield the application that all tests of this process share."""
    redis_url = servers.shared_urls(servers_folder)["redis"].replace("db=0", "db=63")
    async with running(settings_for(shared_database_url, redis_url)) as app:
        yield app


@pytest.fixture
def database(app: FastAPI) -> Database:
    """Return the application's database, to arrange what only time or a worker would."""
    database: Database = app.state.runtime.database
    return database


@dataclass(frozen=True)
class Project:
    """A project of its own, and how to get keys to it."""

    id: UUID
    database: Database

    async def new_key(self, *scopes: str) -> str:
        """Return a new API key with these scopes."""
        key = f"ntf_{secrets.token_urlsafe(30)}"
        values = {"id": new_id(), "name": key[:12], "key_hash": access.hash_key(key), "scopes": list(scopes)}
        async with self.database.transaction() as session:
            await session.execute(insert(api_keys).values(project_id=self.id, **values))
        return key


async def new_project(database: Database, *, clock_at: datetime | None = None) -> Project:
    """Return a new, empty project; with `clock_at` (UTC) it is a test project whose clock stands there."""
    project = Project(new_id(), database)
    mode = "live" if clock_at is None else "test"
    async with database.transaction() as session:
        await session.execute(
            insert(projects).values(id=project.id, name="test", mode=mode, clock_at=clock_at)
        )
    return project


@pytest.fixture
async def project(database: Database) -> Project:
    """Return the project of this test."""
    return await new_project(database)


@pytest.fixture
async def client(app: FastAPI, project: Project) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client whose key may read and write."""
    async with connect(app, await project.new_key("read", "write")) as client:
        yield client


@pytest.fixture
async def reader(app: FastAPI, project: Project) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the same project whose key may only read."""
    async with connect(app, await project.new_key("read")) as client:
        yield client


@pytest.fixture
async def stranger(app: FastAPI, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of another project, with every scope."""
    other = await new_project(database)
    async with connect(app, await other.new_key("read", "write", "admin")) as client:
        yield client


@pytest.fixture
async def operator(app: FastAPI, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client whose key is an admin's of the default project: whoever runs the service."""
    async with database.transaction() as session:
        await access.ensure_default_project(session)
    key = await Project(access.DEFAULT_PROJECT, database).new_key("admin")
    async with connect(app, key) as client:
        yield client


@dataclass(frozen=True)
class Rehearsal:
    """A test project, and what tests do with it all the time."""

    client: httpx.AsyncClient

    async def create(self, **fields: object) -> dict:
        """Return a new notification."""
        answer = await self.client.post("/v1/notifications", json={"title": "Water the plants", **fields})
        assert answer.status_code == 201, answer.text
        made: dict = answer.json()
        return made

    async def get(self, path: str, **params: object) -> dict:
        """Return what a call answers."""
        answer = await self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        found: dict = answer.json()
        return found

    async def post(self, path: str, body: dict | None = None, status: int = 200) -> dict:
        """Return what a call answers, with this status."""
        answer = await self.client.post(path, json=body)
        assert answer.status_code == status, answer.text
        found: dict = answer.json()
        return found

    async def advance(self, to: str, *, down: bool = False) -> list[tuple[str, str]]:
        """Run the clock to an instant; return when each message went out, and its title."""
        messages: list[tuple[str, str]] = []
        complete = False
        while not complete:  # a slow machine needs more calls than one for a year
            done = await self.post("/v1/test-clock/advance", {"to": to, "down": down})
            messages += [(one["sent_at"], one["title"]) for one in done["messages"]]
            complete = done["complete"]
        assert done["now"] == to
        return messages

    async def ledger(self, **filters: object) -> list[tuple[str, str, str | None]]:
        """Return slot, status and reason of every delivery, by slot."""
        found = await self.get("/v1/deliveries", limit=100, **filters)
        assert found["next_cursor"] is None
        return sorted((one["scheduled_for"], one["status"], one["reason"]) for one in found["items"])


Rehearse = Callable[[str], Awaitable[Rehearsal]]


@pytest.fixture
async def rehearse(app: FastAPI, database: Database) -> AsyncIterator[Rehearse]:
    """Yield a function that makes a test project whose clock stands at an instant."""
    async with AsyncExitStack() as stack:

        async def start(at: str) -> Rehearsal:
            project = await new_project(database, clock_at=datetime.fromisoformat(at))
            key = await project.new_key("read", "write")
            return Rehearsal(await stack.enter_async_context(connect(app, key)))

        yield start


@pytest.fixture
async def anonymous(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client without a key."""
    async with connect(app) as client:
        yield client


Create = Callable[..., Awaitable[dict]]


@pytest.fixture
def create(client: httpx.AsyncClient) -> Create:
    """Return a function that makes a notification, with the least body unless fields are given."""

    async def make(**fields: object) -> dict:
        body = {"title": "Water the plants", "schedule": "daily", **fields}
        answer = await client.post("/v1/notifications", json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        # what only the answer to a save tells
        del made["transitions"], made["warnings"]
        return made

    return make
