"""The stage of a scenario: servers, processes and a receiver of its own, and what can be done to them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from random import Random

from notifier.clock import monotonic
from notifier.domain.delivery import TERMINAL, Status, message_id
from notifier.embedded.child import Child, Command
from notifier.storage.migrations import upgrade
from tests.faults import pace
from tests.faults.host_clock import HostClock
from tests.faults.oracle import compare
from tests.faults.receiver import ROOT, Receiver, start_server
from tests.faults.result import Result
from tests.faults.servers import OwnPostgres, own_postgres
from tests.house import House, bulk_due, open_house
from tests.processes import LOOPBACK, OwnValkey, Roles, open_roles, own_valkey, until

Condition = Callable[[], bool | Awaitable[bool]]

SMALL = 20
"""Messages that a small worker sends at once to one receiver; it takes a few hundred out of the queue."""

RING_PATIENCE = 30.0
"""Seconds after which a ring that was lost is rung again."""

DRAIN_SECONDS = 240.0
PROGRESS_SECONDS = 120.0
NOT_PLANNED = """
SELECT n.id, used.destination_id, n.next_due_at
FROM notifications AS n
JOIN notification_destinations AS used ON used.project_id = n.project_id AND used.notification_id = n.id
"""


class Stage:
    """All that a scenario needs; `random` decides where it strikes, and follows from the seed."""

    def __init__(
        self,
        house: House,
        servers: tuple[OwnPostgres, OwnValkey],
        roles: Roles,
        receiver: Receiver,
        random: Random,
        pace: Mapping[str, str],
    ) -> None:
        self.house = house
        self.postgres, self.valkey = servers
        self.receiver = receiver
        self.random = random
        self._pace = pace
        self._roles = roles
        self._children: dict[str, Child] = {}
        self._due: set[str] = set()
        self._harmed_at = monotonic()
        self._drained_at = 0.0

    # what is due

    async def fill(self, due: int, *, later: int = 0, seconds: float = 0, to: str = "") -> None:
        """Make `due` messages due, `later` of them only in so many seconds. Before any process is started.

        They go to the receiver, unless `to` names another address.
        """
        await bulk_due(self.house, due, to=to or self.receiver.url)
        await self.house.sql(
            "UPDATE notifications SET next_due_at = now() + make_interval(secs => :seconds) WHERE id IN"
            " (SELECT id FROM notifications ORDER BY id DESC LIMIT :later)",
            later=later,
            seconds=seconds,
        )
        rows = await self.house.sql(NOT_PLANNED)
        self._due = {message_id(row.id, row.destination_id, row.next_due_at) for row in rows}

    async def make_deadly(self, title: str) -> None:
        """Give one of them, at random, a title by which it kills; nobody expects it to arrive."""
        rows = await self.house.sql(f"{NOT_PLANNED} ORDER BY n.id")
        row = self.random.choice(rows)
        change = "UPDATE notification_revisions SET title = :title WHERE notification_id = :id"
        await self.house.sql(change, title=title, id=row.id)
        self._due.remove(message_id(row.id, row.destination_id, row.next_due_at))

    # processes

    def start(
        self,
        role: str,
        name: str = "",
        *,
        at: tuple[str, int] | None = None,
        deadly: str = "",
        clock: HostClock | None = None,
        **settings: object,
    ) -> Child:
        """Start a process; with `at`, one that ends itself there: a place, and which time it is reached.

        With `deadly` it is a worker that a message with that title kills.
        With `clock` it runs on a host whose clock that is.
        """
        env = {**self._roles.environment(**settings), **(clock.environment if clock else {}), **self._pace}
        armed = ("tests.faults.armed", role, "--kill-at", at[0], "--nth", str(at[1])) if at else ()
        stepped = ("tests.faults.stepped", role, *clock.arguments) if clock else ()
        killed = ("tests.faults.deadly", deadly) if deadly else ()
        argv = (sys.executable, "-m", *(armed or stepped or killed or ("tests.faults.pace", role)))
        command = Command(name or role, argv, {**env, "PYTHONPATH": _python_path(env)})
        return self._spawn(command)

    def host_clock(self, name: str, seconds: int, sweep_every: float) -> HostClock:
        """Return a host's clock that is wrong by so many seconds, for processes that sweep so often."""
        return HostClock(self._roles.places.run / f"{name}.clock", seconds, sweep_every)

    def serve(self, name: str, module: str, *arguments: str) -> str:
        """Start another server of the scenario's own in a process; return what it announces: its port."""
        child, port = start_server(self._roles.places, name, module, *arguments)
        self._children[name] = child
        return port

    def _spawn(self, command: Command) -> Child:
        child = self._children[command.name] = Child(command, self._roles.places)
        return child

    async def again(self, child: Child) -> Child:
        """Start anew what has ended, or is about to."""
        await ended(child)
        return self._spawn(child.command)

    async def kill(self, child: Child) -> Child:
        """End a process by SIGKILL; return its successor."""
        os.kill(child.pid, signal.SIGKILL)
        self.harmed()
        return await self.again(child)

    # harm, and what comes of it

    def harmed(self) -> None:
        """Note that harm was done just now; the time to drain begins."""
        self._harmed_at = monotonic()

    async def progress(self, count: int) -> None:
        """Return when the receiver has accepted `count` requests."""
        await self._until(lambda: self.receiver.count() >= count, PROGRESS_SECONDS, f"{count} requests")

    async def at_work(self, child: Child) -> None:
        """Return when a worker has logged what became of a message, or the others have left it none."""
        await self._until(lambda: self._is_at_work(child), PROGRESS_SECONDS, "a worker at work")

    async def _is_at_work(self, child: Child) -> bool:
        return child.log.stat().st_size > child.log_start or await self.all_ended()

    async def planned(self) -> None:
        """Return when all that is due stands in the ledger."""
        await self._until(self._all_planned, PROGRESS_SECONDS, "a full ledger")

    async def drain(self) -> None:
        """Return when every message has come to its end."""
        await self._until(self.all_ended, DRAIN_SECONDS, "the end of every message")
        self._drained_at = monotonic()

    async def result(self, scenario: str) -> Result:
        """Return what came of it all."""
        found = await compare(self.house, self._due, self.receiver.accepted())
        seconds = self._drained_at - self._harmed_at
        return Result(scenario, len(self._due), **asdict(found), seconds_to_drain=seconds)

    async def _until(self, condition: Condition, seconds: float, what: str) -> None:
        """Wait for what the processes do; one that fails by itself ends the waiting."""

        async def held() -> bool:
            failed = [child for child in self._children.values() if (child.exit_code() or 0) > 0]
            assert not failed, [child.last_lines() for child in failed]
            found = condition()
            return found if isinstance(found, bool) else await found

        await until(held, seconds, what)

    async def settled(self) -> None:
        """Return when nothing goes on by itself: every message has ended, or asks for a decision."""
        await self._until(self._all_settled, DRAIN_SECONDS, "the end of all that goes by itself")

    async def _all_planned(self) -> bool:
        return await self._rows("true") >= len(self._due)

    async def all_ended(self) -> bool:
        """Say whether every message has come to its end."""
        return await self._all_settled() and not await self._rows("status = 'unknown'")

    async def _all_settled(self) -> bool:
        still = ", ".join(f"'{status}'" for status in {*TERMINAL, Status.UNKNOWN})
        return await self._all_planned() and not await self._rows(f"status NOT IN ({still})")

    async def _rows(self, condition: str) -> int:
        """Return how many deliveries there are; asks gently, for the service needs the processor."""
        await asyncio.sleep(0.2)
        row = await self.house.one(f"SELECT count(*) AS rows FROM deliveries WHERE {condition}")
        return int(row.rows)


async def ended(child: Child) -> None:
    """Return when a process has ended."""
    await until(lambda: child.exit_code() is not None, PROGRESS_SECONDS, f"the end of {child.name}")


def _python_path(env: dict[str, str]) -> str:
    return os.pathsep.join(part for part in (env.get("PYTHONPATH"), str(ROOT)) if part)


@asynccontextmanager
async def open_stage(folder: Path, *, lease: float, seconds: float, seed: int) -> AsyncIterator[Stage]:
    """Yield a stage in an empty folder: leases hold `lease` seconds, the receiver answers after `seconds`.

    Where leases are shorter than the time after which a lost ring is rung again, that and sweeps keep up.
    """
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(own_postgres(folder / "postgres"))
        valkey = stack.enter_context(own_valkey(folder / "valkey"))
        roles = stack.enter_context(open_roles(folder / "roles", postgres.url, valkey.url))
        roles.settings |= _settings(lease)
        await upgrade(postgres.url)
        receiver = Receiver(roles.places, seconds)
        opened = open_house(postgres.url, valkey.url, allow_private_destinations=LOOPBACK)
        house = await stack.enter_async_context(opened)
        kept = pace.AS_DELIVERED if lease >= RING_PATIENCE else pace.every(lease)
        yield Stage(house, (postgres, valkey), roles, receiver, Random(seed), kept)


def _settings(lease: float) -> dict[str, str]:
    """Return settings like the defaults, but in proportion to a shorter lease."""
    return {
        "LEASE_SECONDS": str(lease),
        "WEBHOOK_TIMEOUT": str(lease / 2),
        "CHANNEL_TIMEOUT": str(lease / 2),
        "RETRY_SCHEDULE": ",".join(["1"] * 9),
        "DATABASE_POOL_SIZE": "6",
    }
