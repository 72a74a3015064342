"""The service's own processes, real ones, each started by its command on given servers."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis
from aiohttp import web

from notifier.embedded import guard, sockets
from notifier.embedded.child import Child, Command
from notifier.embedded.processes import end_all
from notifier.embedded.valkey import Valkey
from tests.house import SECRET_KEY
from tests.servers import await_ready, make_places, wait_until

LOOPBACK = "127.0.0.0/8,::1/128"
API_KEY = "a-bootstrap-key-for-tests"


async def until(
    condition: Callable[[], bool | Awaitable[bool]], seconds: float = 45.0, what: str = ""
) -> None:
    """Return as soon as the condition holds; fail the test if it does not within `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert asyncio.get_running_loop().time() < deadline, f"not within {seconds} s: {what or condition}"
        await asyncio.sleep(0.02)


class Roles:
    """Starts the roles of the service, `migrate`, `api`, `worker` and `scheduler`, on the same servers."""

    def __init__(self, folder: Path, database_url: str, redis_url: str) -> None:
        self.places = make_places(folder)
        self.folder = folder
        self.settings = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "SECRET_KEY": SECRET_KEY,
            "BOOTSTRAP_API_KEY": API_KEY,
            "ALLOW_PRIVATE_DESTINATIONS": LOOPBACK,
        }

    def start(self, role: str, **settings: object) -> Child:
        """Start one process; settings are given without their prefix."""
        env = self.environment(**settings)
        return Child(Command(role, (sys.executable, "-m", "notifier", role), env), self.places)

    def environment(self, **settings: object) -> dict[str, str]:
        """Return what a process finds in its environment."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFIER_")}
        given = {name: str(value) for name, value in {**self.settings, **settings}.items()}
        return {**kept, **{f"NOTIFIER_{name}": value for name, value in given.items()}}

    def run(self, role: str, **settings: object) -> None:
        """Run one process to its good end."""
        child = self.start(role, **settings)
        wait_until(lambda: child.exit_code() is not None, 30, role)
        assert child.exit_code() == 0, child.last_lines()

    def log(self, role: str) -> str:
        """Return all that a role has written."""
        return (self.places.logs / f"{role}.log").read_text("utf-8", "replace")


@contextmanager
def open_roles(folder: Path, database_url: str, redis_url: str) -> Iterator[Roles]:
    """Yield the roles; what was started is ended, even if pytest itself is killed."""
    folder.mkdir(mode=0o700)
    home = folder / "data"
    watcher = guard.start(home)
    try:
        yield Roles(home, database_url, redis_url)
    finally:
        end_all(home / "run", hurried=lambda: True)
        sockets.remove(home / "run")
        guard.dismiss(watcher)


class OwnValkey:
    """A Valkey for one test, which may do to it what it likes."""

    def __init__(self, folder: Path) -> None:
        self._places = make_places(folder)
        self._server = Valkey(folder / "valkey", sockets.make(self._places.run))
        self.url = self._server.url()
        self.start()

    def start(self) -> None:
        """Start it and return when it answers."""
        self._child = self._server.start(self._places)
        await_ready(self._child, self._server.is_ready)

    def kill(self) -> None:
        """End it as a crash does."""
        os.kill(self._child.pid, signal.SIGKILL)
        wait_until(lambda: self._child.exit_code() is not None)

    def freeze(self) -> None:
        """Have it answer nobody, and close no connection."""
        os.kill(self._child.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self._child.pid, signal.SIGCONT)

    def set(self, **settings: object) -> None:
        """Change its settings while it runs; `_` stands for `-` in their names."""
        with redis.Redis.from_url(self.url) as client:
            for name, value in settings.items():
                client.config_set(name.replace("_", "-"), str(value))


@contextmanager
def own_valkey(folder: Path) -> Iterator[OwnValkey]:
    """Yield a Valkey of the test's own."""
    folder.mkdir(mode=0o700)
    home = folder / "data"
    watcher = guard.start(home)
    try:
        yield OwnValkey(home)
    finally:
        end_all(home / "run", hurried=lambda: True)
        sockets.remove(home / "run")
        guard.dismiss(watcher)


@dataclass
class SlowReceiver:
    """Takes webhooks; answers 200 after `seconds`, but from the request number `gate` on only once opened."""

    seconds: float = 0.0
    gate: int | None = None
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    ids: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def held(self) -> int:
        """How many requests came to the closed gate."""
        return max(0, len(self.ids) - (len(self.ids) if self.gate is None else self.gate))

    async def handle(self, request: web.Request) -> web.Response:
        """Note the request's message id, then answer as the fields say."""
        await request.read()
        self.ids.append(request.headers["webhook-id"])
        if self.gate is not None and len(self.ids) > self.gate:
            await self.opened.wait()
        await asyncio.sleep(self.seconds)
        return web.Response()


@asynccontextmanager
async def slow_receiver(*, seconds: float = 0.0, gate: int | None = None) -> AsyncIterator[SlowReceiver]:
    """Run a slow receiver on a free port."""
    receiver = SlowReceiver(seconds, gate)
    application = web.Application()
    application.router.add_post("/", receiver.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield receiver
    finally:
        receiver.opened.set()
        await runner.cleanup()
