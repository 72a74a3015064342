"""The other side of the soak, a process: writes a line for each webhook that it accepts, and when that was.

A line is the Unix time, the message id, the notification's id and the slot. The first line says the port.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import uvloop

from benchmarks.receiver import ACCEPTED, BACKLOG, Conversation, Tally, header
from benchmarks.servers import Servers, said, wait_until
from notifier.embedded.child import Child


class Received(NamedTuple):
    """One webhook as it came in; `at` is a Unix time, `slot` an instant in UTC."""

    at: float
    message_id: str
    notification_id: str
    slot: datetime


@dataclass(slots=True)
class SoakReceiver:
    """A running receiver, as the driver sees it; `read_to` is the byte up to which its log was read."""

    child: Child
    port: int
    read_to: int = field(default=0, init=False)

    def urls(self, count: int) -> list[str]:
        """Return so many addresses, all of them this receiver."""
        return [f"http://127.0.0.1:{self.port}/hook/{number}" for number in range(count)]

    def new(self) -> Iterator[Received]:
        """Yield what came since this was asked last, in order, without holding more than a line."""
        with self.child.log.open("rb") as log:
            log.seek(self.child.log_start + self.read_to)
            for line in log:
                if not line.endswith(b"\n"):
                    return
                self.read_to += len(line)
                if not line.startswith(b"port "):
                    yield _read(line)


@contextmanager
def open_soak_receiver(servers: Servers) -> Iterator[SoakReceiver]:
    """Yield a running receiver."""
    child = servers.start("receiver", [sys.executable, "-m", "benchmarks.soak_receiver"])
    try:
        wait_until(lambda: "\n" in said(child), of=child)
        yield SoakReceiver(child, int(said(child).split()[1]))
    finally:
        servers.stop(child)


def _read(line: bytes) -> Received:
    at, message_id, notification_id, slot = line.decode().split()
    return Received(float(at), message_id, notification_id, datetime.fromisoformat(slot))


class Listener(Conversation):
    """One connection; what it accepts is written down before it is answered."""

    def __init__(self) -> None:
        super().__init__(Tally())

    def _answer(self, head: bytes, body: bytes) -> None:
        data = json.loads(body)["data"]
        message_id = header(head, b"webhook-id").decode()
        _write(time.time(), message_id, data["notification_id"], data["scheduled_for"])
        self._transport.write(ACCEPTED)


def _write(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Listener, "127.0.0.1", 0, backlog=BACKLOG)
    _write("port", server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
