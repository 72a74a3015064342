"""The users of the soak: they create, edit, pause, resume and read, all at once, and know what must arrive.

What must arrive is known without a look at the ledger: the slots of notifications that nobody touches.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from benchmarks.servers import API_KEY
from notifier.clock import utc_now

PERIOD = timedelta(minutes=2)
"""Of those that repeat: more than the minute between two sweeps, so that no slot may be passed over."""

REPEATING = {"kind": "interval", "every": "PT2M", "anchor": "grid"}
HEADERS = {"Authorization": f"Bearer {API_KEY}"}


@dataclass
class Users:
    """All users, over one HTTP client."""

    client: aiohttp.ClientSession
    url: str
    chance: random.Random
    steady: dict[str, datetime] = field(default_factory=dict)
    """Repeating notifications that are left alone: the first slot by id."""
    fresh: dict[str, datetime] = field(default_factory=dict)
    """Notifications that were due when they were made, and are left alone: the only slot by id."""
    subjects: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)

    async def settle(self, steady: int, subjects: int) -> None:
        """Make the repeating notifications, their slots spread evenly over the period."""
        await self._create_steady(0, 1)  # makes the destination, which all others find
        await asyncio.gather(*(self._settle(range(n, steady, 8), steady) for n in range(1, 9)))
        self.subjects = [await self._create(REPEATING, utc_now()) for _ in range(subjects)]

    async def keep_busy(self, until: datetime, per_second: float) -> None:
        """Make calls at random, at that rate, until then (UTC); slow answers delay no other call."""
        ways: dict[Callable[[], Awaitable[Any]], int] = {
            self.create: 4, self.edit: 2, self.pause: 1, self.resume: 1, self.read: 2,
        }  # fmt: skip
        async with asyncio.TaskGroup() as group:
            while utc_now() < until:
                (way,) = self.chance.choices(list(ways), list(ways.values()))
                self.calls[way.__name__] += 1
                group.create_task(way())  # type: ignore[arg-type]
                await asyncio.sleep(self.chance.expovariate(per_second))

    async def create(self) -> None:
        """Make a notification that is due at once, and then tomorrow."""
        now = utc_now()
        self.fresh[await self._create("daily", now)] = now

    async def edit(self) -> None:
        """Reword one."""
        title = f"Reworded {self.chance.random()}"
        await self._call("PATCH", f"/v1/notifications/{self._subject()}", {"title": title})

    async def pause(self) -> None:
        """Pause one, or one that is paused again."""
        await self._call("POST", f"/v1/notifications/{self._subject()}/pause")

    async def resume(self) -> None:
        """Resume one, or one that is not paused."""
        await self._call("POST", f"/v1/notifications/{self._subject()}/resume")

    async def read(self) -> None:
        """Look at one, or at the ledger."""
        path = self.chance.choice([f"/v1/notifications/{self._subject()}", "/v1/deliveries?limit=50"])
        await self._call("GET", path)

    def must_arrive(self, until: datetime) -> set[tuple[str, datetime]]:
        """Return the id and slot of every message that must have been sent for slots up to then (UTC)."""
        due = {(one, slot) for one, slot in self.fresh.items() if slot <= until}
        for one, slot in self.steady.items():
            due |= {(one, slot + n * PERIOD) for n in range((until - slot) // PERIOD + 1)}
        return due

    async def _settle(self, numbers: range, of: int) -> None:
        for number in numbers:
            await self._create_steady(number, of)

    async def _create_steady(self, number: int, of: int) -> None:
        start = utc_now() + PERIOD * number / of
        self.steady[await self._create(REPEATING, start)] = start

    async def _create(self, schedule: object, start: datetime) -> str:
        body = {"title": "Water the plants", "body": "It is {{ slot.local_date }}.", "schedule": schedule}
        given = {**body, "start_at": start.astimezone(UTC).isoformat(), "to": [self.url]}
        return str((await self._call("POST", "/v1/notifications", given))["id"])

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        async with self.client.request(method, path, json=body, headers=HEADERS) as answer:
            self.answers[f"{answer.status // 100}xx"] += 1
            if not answer.ok:
                raise AssertionError(f"{method} {path}: {answer.status} {await answer.text()}")
            return await answer.json()

    def _subject(self) -> str:
        return self.chance.choice(self.subjects)
