"""PostgreSQL and Valkey as the service ships them (fsync on), and the processes that are measured on them."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg

from notifier.embedded import guard, sockets
from notifier.embedded.child import Child, Command, Places
from notifier.embedded.postgres import Postgres
from notifier.embedded.processes import end_all
from notifier.embedded.valkey import Valkey

ROOT = Path(__file__).parents[1]
PEERS_PYTHON = ROOT / ".bench-venv" / "bin" / "python"
PATHS = os.pathsep.join((str(ROOT), str(ROOT / "src")))
REDIS_DATABASES = 16
API_KEY = "ntf_a-bootstrap-key-for-benchmarks"
AS_SHIPPED = {
    # what `notifier up` tells its processes
    "ENVIRONMENT": "embedded",
    "LOG_FORMAT": "json",
    "ALLOW_PRIVATE_DESTINATIONS": "127.0.0.0/8,::1/128",
    "SECRET_KEY": "a-key-for-benchmarks-of-32-characters",
    "BOOTSTRAP_API_KEY": API_KEY,
}


class Servers:
    """The two servers of one part, and the processes that were started beside them."""

    def __init__(self, folder: Path) -> None:
        self.places = Places(run=folder / "run", logs=folder / "logs")
        for place in (self.places.run, self.places.logs):
            place.mkdir(parents=True)
        private = sockets.make(self.places.run)
        self._postgres = Postgres(folder / "postgres", private)
        self._valkey = Valkey(folder / "valkey", private, REDIS_DATABASES)
        database, queue = self._postgres.start(self.places), self._valkey.start(self.places)
        wait_until(lambda: self._postgres.is_ready(database), of=database)
        wait_until(self._valkey.is_ready, of=queue)
        self.socket_of_redis = private / "valkey" / "socket"

    def database_url(self, name: str) -> str:
        """Return the address of a database, whether there is one or not."""
        return self._postgres.url(name)

    def redis_url(self, number: int = 0) -> str:
        """Return the address of a numbered Redis database."""
        return self._valkey.url(number)

    def make_database(self, name: str, template: str = "template1") -> str:
        """Make a database, in place of the one of that name, as a copy of another; return its address."""
        self.sql("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        # copied as files, then flushed: no write-ahead log of the copy weighs on what is measured next
        self.sql("postgres", f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        self.sql("postgres", "CHECKPOINT")
        return self.database_url(name)

    def sql(self, database: str, statement: str) -> list[Any]:
        """Run SQL on a connection of its own; return the rows of a single statement that has some."""
        return asyncio.run(_sql(self.database_url(database), statement))

    def service(
        self,
        role: str,
        database: str,
        *,
        name: str | None = None,
        redis_url: str | None = None,
        **settings: Any,
    ) -> Child:
        """Start a process of the service as `notifier up` does; `settings` are named without their prefix."""
        urls = {"DATABASE_URL": self.database_url(database), "REDIS_URL": redis_url or self.redis_url()}
        given = {**AS_SHIPPED, **urls, **settings}
        env = {f"NOTIFIER_{key}": str(value) for key, value in given.items()}
        return self.start(name or role, [sys.executable, "-m", "notifier", role], env)

    def migrate(self, database: str) -> None:
        """Bring a database to the newest schema, with an API key and a default project."""
        self.finish(self.service("migrate", database))

    def peer(self, name: str, arguments: Sequence[object], env: Mapping[str, str] | None = None) -> Child:
        """Start Python of the peers' virtual environment."""
        if not PEERS_PYTHON.exists():
            raise SystemExit("The peers are not installed: make .bench-venv/.ready")
        return self.start(name, [PEERS_PYTHON, *arguments], env)

    def start(self, name: str, argv: Sequence[object], env: Mapping[str, str] | None = None) -> Child:
        """Start any process from the project's folder; `name` is that of its log, and taken while it runs."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("NOTIFIER_")}
        command = Command(name, tuple(map(str, argv)), {**kept, "PYTHONPATH": PATHS, **(env or {})})
        return Child(command, self.places)

    def finish(self, child: Child, seconds: float = 300) -> None:
        """Wait for the good end of a process."""
        wait_until(lambda: child.exit_code() is not None, seconds, child.name)
        if child.exit_code():
            raise AssertionError(f"{child.name}: {child.last_lines(30)}")

    def stop(self, *children: Child, seconds: float = 20) -> None:
        """Have processes end, all at once; kill what does not."""
        for child in children:
            _signal(child, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while any(child.exit_code() is None for child in children) and time.monotonic() < deadline:
            time.sleep(0.02)
        for child in children:
            # with what it started: some parents leave their workers behind
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            wait_until(lambda child=child: child.exit_code() is not None)  # type: ignore[misc]


@contextmanager
def open_servers() -> Iterator[Servers]:
    """Yield running servers with their data on disk; all ends with this process, even if it is killed.

    BENCH_DIR says where the data goes; /tmp may well be kept in memory, where fsync costs nothing.
    """
    above = Path(tempfile.mkdtemp(prefix="notifier-bench-", dir=os.environ.get("BENCH_DIR", "/var/tmp")))
    folder = above / "data"
    watcher = guard.start(folder)
    # a polite end is an end too: the folder goes with it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        yield Servers(folder)
    finally:
        end_all(folder / "run", hurried=lambda: True)
        sockets.remove(folder / "run")
        guard.dismiss(watcher)
        shutil.rmtree(above, ignore_errors=True)


def said(child: Child) -> str:
    """Return what this run of a process has written so far."""
    with child.log.open("rb") as log:
        log.seek(child.log_start)
        return log.read().decode("utf-8", "replace")


def wait_until(
    condition: Callable[[], object], seconds: float = 60.0, what: str = "", of: Child | None = None
) -> None:
    """Return as soon as the condition holds; raises AssertionError if it is late, or if `of` ends."""
    deadline = time.monotonic() + seconds
    while not condition():
        if of and of.exit_code() is not None:
            raise AssertionError(f"{of.name} ended: {of.last_lines(30)}")
        if time.monotonic() > deadline:
            last = f"; {of.name} said last: {of.last_lines(30)}" if of else ""
            raise AssertionError(f"not within {seconds} s: {what or condition}{last}")
        time.sleep(0.02)


async def _sql(url: str, statement: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        if statement.lstrip().upper().startswith(("SELECT", "WITH", "EXPLAIN", "SHOW")):
            return list(await connection.fetch(statement))
        await connection.execute(statement, timeout=1800)
        return []
    finally:
        await connection.close()


def _signal(child: Child, number: signal.Signals) -> None:
    if child.exit_code() is None:
        os.kill(child.pid, number)
