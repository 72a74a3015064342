"""The embedded Valkey: the queue's doorbell, kept on disk, reachable through a private Unix socket only."""

from pathlib import Path

import redis

from notifier.embedded import binaries
from notifier.embedded.child import Child, Command, Places


class Valkey:
    """The server of one data folder; `databases` is how many numbered databases it offers."""

    def __init__(self, data: Path, sockets: Path, databases: int = 1) -> None:
        self._data = data
        self._folder = sockets / "valkey"
        self._socket = self._folder / "socket"
        self._databases = databases

    def url(self, database: int = 0) -> str:
        """Return the address of a numbered database of this server."""
        return f"unix://{self._socket}?db={database}"

    def start(self, places: Places) -> Child:
        """Start the server and return at once; raises StartError."""
        for folder in (self._data, self._folder):
            folder.mkdir(mode=0o700, exist_ok=True)
        return Child(self._command(binaries.valkey_program()), places)

    def is_ready(self) -> bool:
        """Say whether the server has loaded its data and answers."""
        with redis.Redis(unix_socket_path=str(self._socket), socket_timeout=2) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def _command(self, program: Path) -> Command:
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._data),
            "databases": str(self._databases),
            "appendonly": "yes",
            "save": "",
            # Job keys carry an expiry: every other policy would throw jobs away when memory is short.
            "maxmemory-policy": "noeviction",
        }
        arguments = (part for name, value in settings.items() for part in (f"--{name}", value))
        return Command(name="valkey", argv=(str(program), *arguments), rank=0)
