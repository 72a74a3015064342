"""The whole service on one machine: its children, the order of their start, what they are told."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from notifier.embedded import checks, guard
from notifier.embedded.child import Child, Command
from notifier.embedded.environment import LOOPBACK, Environment
from notifier.embedded.errors import StartError
from notifier.embedded.folder import DataFolder
from notifier.embedded.postgres import Postgres
from notifier.embedded.supervisor import Stopped, Supervisor
from notifier.embedded.valkey import Valkey

WORKER_GRACE_SECONDS = 75.0  # longer than the worker itself waits for what it is sending
APPS = {"api": 15.0, "scheduler": 15.0, "worker": WORKER_GRACE_SECONDS}


class Terminal(Protocol):
    """How the service speaks to the person who started it."""

    def step(self, what: str) -> None:
        """Show what the start is busy with."""

    def ready(self, folder: DataFolder) -> None:
        """Show that the service runs."""

    def say(self, line: str) -> None:
        """Show one line of news."""

    def stopping(self) -> None:
        """Show that the end has begun."""


@dataclass(frozen=True, slots=True)
class Service:
    """One `notifier up`."""

    data_dir: Path
    host: str
    port: int
    terminal: Terminal
    environment: Environment = field(default_factory=Environment)

    def run(self) -> None:
        """Run until somebody asks to stop; raises StartError, with nothing left running, if it cannot."""
        folder = DataFolder.open(self.data_dir)
        watcher = guard.start(folder.path)
        supervisor = Supervisor(folder, self.terminal.say)
        supervisor.listen()
        try:
            self._start(folder, supervisor)
            self.terminal.ready(folder)
            supervisor.watch()
        except Stopped:
            pass
        except OSError as error:  # a full disk, a program that does not run here, a forbidden change of user
            raise StartError(f"The start failed: {error}") from error
        finally:
            self.terminal.stopping()
            supervisor.stop()
            folder.close()
            guard.dismiss(watcher)

    def _start(self, folder: DataFolder, supervisor: Supervisor) -> None:
        checks.check_address_is_free(self.host, self.port)
        self.environment.of_worker()  # raises what is wrong with it before anything runs
        self._tell(folder)
        self._start_servers(folder, supervisor)
        self.terminal.step("Preparing the database")
        supervisor.finish(lambda: self._app(folder, "migrate", 30.0))
        self.terminal.step("Starting the API, the scheduler and the worker")
        apps = [supervisor.start(lambda name=name: self._app(folder, name, APPS[name])) for name in APPS]  # type: ignore[misc]
        url = checks.address(self.host, self.port)
        supervisor.await_ready(apps[0], lambda: checks.answers(url + "/readyz"))
        folder.tell_address(url)

    def _tell(self, folder: DataFolder) -> None:
        tell = self.environment.add
        tell("ENVIRONMENT", "embedded")
        self.environment.put("HOST", self.host)
        self.environment.put("PORT", self.port)
        tell("LOG_FORMAT", "json")
        tell("ALLOW_PRIVATE_DESTINATIONS", LOOPBACK)
        if not self.environment.gives("SECRET_KEY"):
            folder.ensure_secret_key()
            tell("SECRET_KEY_FILE", folder.secret_key)
        if not self.environment.gives("BOOTSTRAP_API_KEY"):
            folder.ensure_api_key()
            tell("BOOTSTRAP_API_KEY_FILE", folder.api_key)

    def _start_servers(self, folder: DataFolder, supervisor: Supervisor) -> None:
        """Use the servers that the caller names, after a look at them, and start our own for the rest."""
        database, queue = Postgres(folder.postgres, folder.sockets), Valkey(folder.valkey, folder.sockets)
        own_database = not self.environment.gives("DATABASE_URL")
        own_queue = not self.environment.gives("REDIS_URL")
        if not own_database:
            checks.check_database(self.environment.value("DATABASE_URL"))
        if not own_queue:
            checks.check_redis(self.environment.value("REDIS_URL"))
        if own_queue:
            self._start_valkey(queue, folder, supervisor)
        if own_database:
            self._start_postgres(database, folder, supervisor)

    def _start_postgres(self, database: Postgres, folder: DataFolder, supervisor: Supervisor) -> None:
        first = not folder.postgres.exists()
        self.terminal.step("Making the database" if first else "Starting PostgreSQL")
        child = supervisor.start(lambda: database.start(folder.places))
        supervisor.await_ready(child, lambda: database.is_ready(child))
        self.environment.add("DATABASE_URL", database.url())

    def _start_valkey(self, queue: Valkey, folder: DataFolder, supervisor: Supervisor) -> None:
        self.terminal.step("Starting Valkey")
        child = supervisor.start(lambda: queue.start(folder.places))
        supervisor.await_ready(child, queue.is_ready)
        self.environment.add("REDIS_URL", queue.url())

    def _app(self, folder: DataFolder, name: str, grace_seconds: float) -> Child:
        command = Command(
            name=name,
            argv=(sys.executable, "-m", "notifier", name),
            env=self.environment.of_worker() if name == "worker" else self.environment.complete(),
            grace_seconds=grace_seconds,
        )
        return Child(command, folder.places)
