"""Counts round trips to Redis: a process between a client and the server that lets all bytes pass.

A round trip is a turn of the conversation: the client speaks after the server has (or first of all). So what
a client sends in one go counts once, however many commands it holds, and no library is trusted to count.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.servers import Servers, said, wait_until


class Turns:
    """When each round trip began, in seconds since 1970."""

    def __init__(self) -> None:
        self.at: list[float] = []


class Side(asyncio.Protocol):
    """One end of a conversation, client's or server's; hands on what it hears to the other one."""

    def __init__(self, turns: Turns, other: "Side | None" = None) -> None:
        self._turns = turns
        self.other = other
        self.transport: asyncio.Transport | None = None
        self.spoke_last = False
        self.unsent = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Hand it on; a client that speaks after the server begins a round trip."""
        if self.other is None or self.other.transport is None:
            self.unsent += data
            return
        if isinstance(self, Client) and not self.spoke_last:
            self._turns.at.append(time.time())
        self.spoke_last, self.other.spoke_last = True, False
        self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the other half too."""
        if self.other and self.other.transport:
            self.other.transport.close()


class Client(Side):
    """The client's end; keeps what it hears until the server's end is there."""

    def __init__(self, turns: Turns, socket: str) -> None:
        super().__init__(turns)
        self._socket = socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect to the server."""
        super().connection_made(transport)
        self._task = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, self.other = await loop.create_unix_connection(lambda: Side(self._turns, self), self._socket)
        if self.unsent:
            self.data_received(self.unsent)


class RoundTrips:
    """A running counter, as the driver sees it."""

    def __init__(self, socket: Path, note: Path) -> None:
        self.socket = socket
        self._note = note

    @property
    def url(self) -> str:
        """The address that clients are to use instead of the server's."""
        return f"unix://{self.socket}?db=0"

    def between(self, began: float, ended: float) -> int:
        """Return how many round trips began in that time (seconds since 1970)."""
        self._note.unlink(missing_ok=True)
        asyncio.run(_ask(self.socket.with_name("control")))
        wait_until(self._note.exists)
        return sum(began <= at <= ended for at in json.loads(self._note.read_text()))


@contextmanager
def open_round_trips(servers: Servers) -> Iterator[RoundTrips]:
    """Yield a counter in front of the servers' Redis."""
    place = servers.socket_of_redis.with_name("counted")
    place.mkdir(mode=0o700, exist_ok=True)
    run = [sys.executable, "-m", "benchmarks.round_trips", servers.socket_of_redis, place]
    child = servers.start("round-trips", run)
    try:
        wait_until(lambda: "ready" in said(child), of=child)
        yield RoundTrips(place / "socket", place / "note")
    finally:
        servers.stop(child)


async def _ask(control: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(str(control))
    await reader.read()
    writer.close()


async def _serve(server: str, place: Path) -> None:
    turns = Turns()
    loop = asyncio.get_running_loop()

    async def dump(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        draft = place / "draft"
        draft.write_text(json.dumps(turns.at))
        draft.rename(place / "note")
        turns.at.clear()
        writer.close()

    # kept: a server that nobody refers to is collected, and refuses whoever asks
    control = await asyncio.start_unix_server(dump, place / "control")
    listening = await loop.create_unix_server(lambda: Client(turns, server), str(place / "socket"))
    print("ready", flush=True)
    await asyncio.gather(control.serve_forever(), listening.serve_forever())


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], Path(sys.argv[2])))
