"""The other side of the soak, a process: writes a line for each webhook that it accepts, and when that was.

A line is the Unix time, the message id, the notification's id and the slot. The first line says the port.
"""

import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from aiohttp import web

from benchmarks.servers import Servers, said, wait_until
from notifier.embedded.child import Child


class Received(NamedTuple):
    """One webhook as it came in; `at` is a Unix time, `slot` an instant in UTC."""

    at: float
    message_id: str
    notification_id: str
    slot: datetime


@dataclass(frozen=True, slots=True)
class SoakReceiver:
    """A running receiver, as the driver sees it."""

    child: Child
    url: str

    def log(self) -> list[Received]:
        """Return all that came so far, in order."""
        lines = said(self.child).splitlines()[1:]
        return [_read(line) for line in lines if line.endswith("Z")]


@contextmanager
def open_soak_receiver(servers: Servers) -> Iterator[SoakReceiver]:
    """Yield a running receiver."""
    child = servers.start("receiver", [sys.executable, "-m", "benchmarks.soak_receiver"])
    try:
        wait_until(lambda: "\n" in said(child), of=child)
        yield SoakReceiver(child, f"http://127.0.0.1:{said(child).split()[1]}/hook")
    finally:
        servers.stop(child)


def _read(line: str) -> Received:
    at, message_id, notification_id, slot = line.split()
    return Received(float(at), message_id, notification_id, datetime.fromisoformat(slot))


async def _accept(request: web.Request) -> web.Response:
    data = json.loads(await request.read())["data"]
    _write(time.time(), request.headers["webhook-id"], data["notification_id"], data["scheduled_for"])
    return web.Response()


def _write(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def _application() -> web.Application:
    application = web.Application()
    application.router.add_post("/hook", _accept)
    return application


def main() -> None:
    """Serve until killed."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    _write("port", listening.getsockname()[1])
    web.run_app(_application(), sock=listening, access_log=None, print=None)


if __name__ == "__main__":
    main()
