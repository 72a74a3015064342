"""Edits, pauses and sweeps at the same time: no slot is lost and none is doubled."""

import asyncio
import random
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row

from notifier.domain import schedule
from notifier.domain.schedule import Schedule
from notifier.pipeline import planner
from notifier.services import notifications, pausing
from notifier.storage.engine import Clock
from tests.pipeline.conftest import Begin
from tests.pipeline.timeline import Timeline

NOTIFICATIONS, TICKS = 20, 50  # 1,000 rounds: in each, one is edited, paused or resumed, and swept
AT_ONCE = 8
RULES: tuple[dict[str, Any], ...] = (
    {"kind": "cron", "expression": "*/5 * * * *", "timezone": "Europe/Berlin"},
    {"kind": "cron", "expression": "*/7 * * * *", "timezone": "America/New_York"},
    {"kind": "interval", "every": "PT3M", "anchor": "grid"},
    {
        "kind": "calendar",
        "frequency": "daily",
        "times": [f"{hour:02}:{minute:02}" for hour in range(12) for minute in (10, 40)],
        "timezone": "Asia/Tokyo",
    },
)
LIMITS = {"missed": {"policy": "all", "max": 2}}


@dataclass
class Storm:
    """Everybody at once, tick after tick."""

    timeline: Timeline
    random: random.Random
    ids: list[str]
    gate: asyncio.Semaphore

    async def tick(self) -> None:
        """Let the clock go on, and everybody act at once. A sweep may begin later than it gets its turn."""
        self.timeline.now += timedelta(seconds=self.random.randrange(60, 1200))
        acts: list[Awaitable[None]] = [self.sweep(self.random.randrange(180)) for _ in range(3)]
        for wanted in self.ids:
            acts += [self.edit(wanted), self.random.choice((self.pause, self.resume))(wanted)]
        self.random.shuffle(acts)
        await asyncio.gather(*acts)

    async def sweep(self, lead: int) -> None:
        """Sweep by a clock that is ahead by some seconds."""
        now = self.timeline.now + timedelta(seconds=lead)
        database = self.timeline.house.database.following(Clock(self.timeline.project_id, now))
        async with self.gate:
            await planner.sweep(database, None, batch=7)

    async def edit(self, wanted: str) -> None:
        changes: dict[str, Any] = {"title": f"Title {self.random.random()}"}
        if self.random.random() < 0.4:
            changes["schedule"] = {**self.random.choice(RULES), **LIMITS}
        async with self.gate, self.timeline.context() as ctx:
            await notifications.update(ctx, wanted, changes, revision=None)

    async def pause(self, wanted: str) -> None:
        async with self.gate, self.timeline.context() as ctx:
            await pausing.pause(ctx, wanted, {"reason": "storm"})

    async def resume(self, wanted: str) -> None:
        async with self.gate, self.timeline.context() as ctx:
            await pausing.resume(ctx, wanted)


@dataclass
class Epoch:
    """The time in which one schedule was in force: from an edit to the next one, which came at `until`."""

    rule: Schedule
    since: datetime
    until: datetime | None
    revisions: range

    def next_slot(self, after: datetime) -> datetime:
        found = schedule.next_slot(self.rule, after=after, anchor=self.since)
        assert found is not None
        return found

    def covered(self, rows: Sequence[Row[Any]]) -> list[datetime]:
        """Return every slot that the ledger accounts for by this schedule; ranges are spelt out."""
        found: list[datetime] = []
        for row in rows:
            if row.revision not in self.revisions:
                continue
            slots = [row.scheduled_for]
            while row.slot_count > 1 and (following := self.next_slot(slots[-1])) < row.range_end:
                slots.append(following)
            assert len(slots) == row.slot_count, "a range counts its slots"
            found += slots
        return found


async def epochs(timeline: Timeline, wanted: str) -> list[Epoch]:
    rows = await timeline.sql(
        "SELECT revision, schedule, created_at FROM notification_revisions"
        " WHERE notification_id = CAST(:id AS uuid) ORDER BY revision",
        id=wanted,
    )
    starts = [rows[0], *(new for old, new in pairwise(rows) if new.schedule != old.schedule), None]
    return [
        Epoch(
            schedule.parse(one.schedule),
            one.created_at,
            following.created_at if following else None,
            range(one.revision, following.revision if following else rows[-1].revision + 1),
        )
        for one, following in pairwise(starts)
        if one
    ]


async def check(timeline: Timeline, wanted: str) -> int:
    """Assert that the ledger of a notification has no hole and no double; return how many slots it has."""
    rows = [row for row in await timeline.rows() if row.notification_id == UUID(wanted)]
    last, total = datetime.min.replace(tzinfo=timeline.now.tzinfo), 0
    for epoch in await epochs(timeline, wanted):
        expected = epoch.next_slot(max(epoch.since, last))
        for slot in epoch.covered(rows):
            assert slot == expected, f"{wanted}: {slot} stands where {expected} should"
            last, expected, total = slot, epoch.next_slot(slot), total + 1
        if epoch.until:
            assert expected > epoch.until, f"{wanted}: {expected} was lost by the edit at {epoch.until}"
        else:
            assert (await timeline.notification(wanted)).next_due_at == expected
    return total


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_thousand_rounds_of_edit_pause_and_sweep_neither_lose_nor_double_a_slot(begin: Begin) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when it fails
    timeline = await begin("2027-03-27T20:00")  # the clocks of Berlin go forward in that night
    ids = [await timeline.create({**RULES[n % len(RULES)], **LIMITS}) for n in range(NOTIFICATIONS)]
    storm = Storm(timeline, random.Random(seed), ids, asyncio.Semaphore(AT_ONCE))
    for _ in range(TICKS):
        await storm.tick()
    for wanted in ids:
        async with timeline.context() as ctx:
            await pausing.resume(ctx, wanted)
    await storm.sweep(0)
    slots = [await check(timeline, wanted) for wanted in ids]
    # 50 ticks of about ten minutes, and slots every few minutes
    assert sum(slots) > NOTIFICATIONS * TICKS
