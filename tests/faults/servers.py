"""A PostgreSQL of a scenario's own, set as it is delivered: it may be stopped in the middle of anything."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from notifier.embedded import guard, sockets
from notifier.embedded.postgres import Postgres
from notifier.embedded.processes import end_all
from tests.servers import await_ready, make_places, wait_until


class OwnPostgres:
    """One cluster. Nothing is traded for speed: what is committed survives."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._places = make_places(folder)
        options = options or ("max_connections=200",)
        self._server = Postgres(folder / "postgres", sockets.make(self._places.run), options)
        self.url = self._server.url()
        self.start()

    def start(self) -> None:
        """Start it and return when it lets clients in."""
        self._child = self._server.start(self._places)
        await_ready(self._child, lambda: self._server.is_ready(self._child))

    def stop_at_once(self) -> None:
        """End it as `pg_ctl stop -m immediate` does: the next start has to recover."""
        os.kill(self._child.pid, signal.SIGQUIT)
        wait_until(lambda: self._child.exit_code() is not None)

    def restart_at_once(self) -> None:
        """Stop it in the middle of everything, and start it again."""
        self.stop_at_once()
        self.start()


@contextmanager
def own_postgres(folder: Path, *options: str) -> Iterator[OwnPostgres]:
    """Yield a PostgreSQL that nobody else uses."""
    folder.mkdir(mode=0o700)
    home = folder / "data"
    watcher = guard.start(home)
    try:
        yield OwnPostgres(home, *options)
    finally:
        end_all(home / "run", hurried=lambda: True)
        sockets.remove(home / "run")
        guard.dismiss(watcher)
