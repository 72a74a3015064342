"""The receiver, a process of its own: notes the id of each message that it accepts, then answers 200.

The note is written before the answer leaves, so it holds whatever becomes of the sender.
"""

import asyncio
import os
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from pathlib import Path

import uvloop
from aiohttp import web

from notifier.embedded.child import Child, Command, Places
from tests.servers import wait_until

ROOT = Path(__file__).parents[2]


class Receiver:
    """A running receiver that takes `seconds` to answer."""

    def __init__(self, places: Places, seconds: float) -> None:
        self.log = places.logs / "accepted"
        self.log.touch()
        argv = (__name__, str(self.log), "--seconds", str(seconds))
        self.child, port = start_server(places, "receiver", *argv)
        self.url = f"http://127.0.0.1:{port}/"

    def accepted(self) -> Counter[str]:
        """Return how often each message was accepted, by its id."""
        return Counter(self.log.read_text().split())

    def count(self) -> int:
        """Return how many requests were accepted."""
        return self.log.read_bytes().count(b"\n")


def start_server(places: Places, name: str, module: str, *arguments: str) -> tuple[Child, str]:
    """Start `module` as a process, with `--port` and a file; return what it announces there: its port."""
    port = places.run / f"{name}.port"
    argv = (sys.executable, "-m", module, *arguments, "--port", str(port))
    child = Child(Command(name, argv, {**os.environ, "PYTHONPATH": str(ROOT)}), places)
    wait_until(lambda: port.exists() or child.exit_code() is not None, 30, f"the {name}")
    assert child.exit_code() is None, child.last_lines()
    return child, port.read_text()


def announce(file: Path, port: object) -> None:
    """Write the port where `start_server` waits for it."""
    draft = file.with_suffix(".new")
    draft.write_text(str(port))
    draft.rename(file)


async def serve(given: Namespace) -> None:
    """Accept all that comes, for ever."""
    log = os.open(given.log, os.O_WRONLY | os.O_APPEND)

    async def accept(request: web.Request) -> web.Response:
        await request.read()
        os.write(log, f"{request.headers['webhook-id']}\n".encode())
        await asyncio.sleep(given.seconds)
        return web.Response()

    application = web.Application()
    application.router.add_post("/", accept)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1000).start()
    announce(given.port, runner.addresses[0][1])
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = ArgumentParser()
    parser.add_argument("log", type=Path)
    parser.add_argument("--port", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=0.0)
    uvloop.run(serve(parser.parse_args()))
