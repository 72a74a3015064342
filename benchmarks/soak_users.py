"""The users of the soak: they create, edit, pause, resume and read, all at once, and know what must arrive.

What must arrive is known without a look at the ledger: the slots of notifications that nobody touches.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp

from benchmarks.servers import API_KEY
from benchmarks.soak_account import PERIOD, due
from notifier.clock import utc_now

REPEATING = {"kind": "interval", "every": "PT2M", "anchor": "grid"}
HEADERS = {"Authorization": f"Bearer {API_KEY}", "Prefer": "return=minimal"}
MOST_IN_A_CALL = 1_000
AT_ONCE = 20
"""Notifications that a user makes with one call."""

Starts = Sequence[datetime]


@dataclass
class Users:
    """All users, over one HTTP client."""

    client: aiohttp.ClientSession
    urls: Sequence[str]
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
        # makes the destinations, which all others find
        self.subjects = list(await self._create_many(REPEATING, self._spread(subjects)))
        starts = self._spread(steady)
        for n in range(0, steady, MOST_IN_A_CALL):
            self.steady.update(await self._create_many(REPEATING, starts[n : n + MOST_IN_A_CALL]))

    async def keep_busy(self, until: datetime, per_second: float) -> None:
        """Make calls at random, at that rate, until then (UTC); slow answers delay no other call."""
        ways: dict[Callable[[], Awaitable[Any]], int] = {
            self.create: 4, self.create_many: 1, self.edit: 2, self.pause: 1, self.resume: 1, self.read: 2,
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
        made = await self._call("POST", "/v1/notifications", self._draft("daily", now))
        self.fresh[made["id"]] = now

    async def create_many(self) -> None:
        """Make some of that kind with one call."""
        self.fresh.update(await self._create_many("daily", [utc_now()] * AT_ONCE))

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

    def must_arrive(self, until: datetime) -> Iterator[tuple[str, int]]:
        """Yield how many messages of each notification must have been sent for slots up to then (UTC)."""
        yield from due(self.steady, until)
        yield from due(self.fresh, until, most=1)

    def _spread(self, count: int) -> Starts:
        """Return so many instants of the period that begins now."""
        now = utc_now()
        return [now + PERIOD * number / count for number in range(count)]

    async def _create_many(self, schedule: object, starts: Starts) -> dict[str, datetime]:
        """Make a notification for each start; return the starts by id."""
        items = [self._draft(schedule, start) for start in starts]
        answer = await self._call("POST", "/v1/notifications/bulk", {"items": items})
        return {one["id"]: starts[one["index"]] for one in answer["items"]}

    def _draft(self, schedule: object, start: datetime) -> dict[str, Any]:
        words = {"title": "Water the plants", "body": "It is {{ slot.local_date }}."}
        at = start.astimezone(UTC).isoformat()
        return {**words, "schedule": schedule, "start_at": at, "to": [self.chance.choice(self.urls)]}

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        async with self.client.request(method, path, json=body, headers=HEADERS) as answer:
            self.answers[f"{answer.status // 100}xx"] += 1
            if not answer.ok:
                raise AssertionError(f"{method} {path}: {answer.status} {await answer.text()}")
            return await answer.json()

    def _subject(self) -> str:
        return self.chance.choice(self.subjects)
