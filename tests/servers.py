"""One real PostgreSQL and one real Valkey for a whole test session, however many processes run it.

The first test that asks starts them; the guard of the session's folder ends them when pytest ends, in
whatever way it does.
"""

import asyncio
import fcntl
import json
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg

from notifier.embedded import guard, sockets
from notifier.embedded.child import Child, Places
from notifier.embedded.postgres import Postgres
from notifier.embedded.valkey import Valkey

TEMPLATE = "migrated"
REDIS_DATABASES = 64
# The data lives as long as the session: none of it has to survive a crash.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=400")
START_SECONDS = 60.0
T = TypeVar("T")


def free_port() -> int:
    """Return a port of this machine at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], seconds: float = 45.0, what: str = "") -> None:
    """Return as soon as the condition holds; fail the test if it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or condition}"
        time.sleep(0.02)


def open_session() -> tuple[Path, Popen[bytes]]:
    """Make the session's folder and the guard that cleans up after it."""
    folder = Path(tempfile.mkdtemp(prefix="notifier-tests-"))
    return folder, guard.start(folder)


def close_session(folder: Path, watcher: Popen[bytes]) -> None:
    """End the servers, if any were started, and remove the folder."""
    guard.dismiss(watcher)
    shutil.rmtree(folder, ignore_errors=True)


def shared_urls(folder: Path) -> dict[str, str]:
    """Return the servers' addresses; starts the servers if no other process of the session has."""
    note = folder / "servers.json"
    with _only_one(folder):
        if not note.exists():
            note.write_text(json.dumps(_start(folder)))
        urls: dict[str, str] = json.loads(note.read_text())
    return urls


def migrated_template(folder: Path, postgres_url: str) -> str:
    """Return the name of a database with the current schema, made once per session, to be copied."""
    note = folder / "template"
    with _only_one(folder):
        if not note.exists():
            run_apart(_make_template(postgres_url))
            note.touch()
    return TEMPLATE


async def copy_database(postgres_url: str, template: str) -> str:
    """Return the address of a new database that is a copy of the template."""
    name = f"test_{uuid4().hex}"
    # Copying files beats the write-ahead log for a small template: no page is written twice.
    await execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    return postgres_url.replace("/postgres?", f"/{name}?", 1)


async def drop_database(postgres_url: str, database_url: str) -> None:
    """Remove a copied database, whoever is still connected."""
    name = database_url.split("?", maxsplit=1)[0].rsplit("/", 1)[1]
    await execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


async def execute(url: str, statement: str) -> None:
    """Run one statement on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on another thread, leaving the test's event loop alone."""
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(work)))
    thread.start()
    thread.join()
    return results[0]


def await_ready(child: Child, is_ready: Callable[[], bool]) -> None:
    """Return when a server is ready; fails with its last lines if it ends instead."""
    wait_until(lambda: is_ready() or child.exit_code() is not None, START_SECONDS, child.name)
    assert child.exit_code() is None, child.last_lines()


def make_places(folder: Path) -> Places:
    """Make the folders for locks and logs."""
    places = Places(run=folder / "run", logs=folder / "logs")
    for place in (places.run, places.logs):
        place.mkdir(parents=True, exist_ok=True)
    return places


def _start(folder: Path) -> dict[str, str]:
    places = make_places(folder)
    private = sockets.make(places.run)
    postgres = Postgres(folder / "postgres", private, FAST)
    valkey = Valkey(folder / "valkey", private, REDIS_DATABASES)
    database, queue = postgres.start(places), valkey.start(places)
    await_ready(database, lambda: postgres.is_ready(database))
    await_ready(queue, valkey.is_ready)
    return {"postgres": postgres.url("postgres"), "redis": valkey.url(0)}


async def _make_template(postgres_url: str) -> None:
    from notifier.storage.migrations import upgrade

    await execute(postgres_url, f"CREATE DATABASE {TEMPLATE}")
    await upgrade(postgres_url.replace("/postgres?", f"/{TEMPLATE}?", 1))


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    with (folder / "turn").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
