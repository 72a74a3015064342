"""What users do to the ledger, as rules of the state machine."""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from notifier.domain import schedule
from notifier.domain.delivery import Decision
from notifier.services import (
    deliveries,
    destinations,
    exceptions,
    notifications,
    pausing,
    replaying,
    sending,
)
from tests.house import DRAFT, House
from tests.pipeline.draws import GRIDS, SCHEDULES, TO, rarely_a_grid, which
from tests.pipeline.invariants import Witness
from tests.pipeline.world import World

T = TypeVar("T")


def one_of(rows: Sequence[T], number: int) -> T | None:
    """Return one of the rows, if there is any."""
    return rows[number % len(rows)] if rows else None


class Users(RuleBasedStateMachine):
    """What they can do."""

    def __init__(self, runner: asyncio.Runner, house: House) -> None:
        super().__init__()
        self.runner = runner
        self.world = World(house)
        self.witness = Witness(self.world)
        self.made: list[str] = []
        self.untouched: dict[str, tuple[schedule.Schedule, datetime]] = {}
        """Those whose slots are known beforehand: rule, and when it was saved."""
        self.run(self.world.open())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it, and return when it is done."""
        return self.runner.run(work)

    @initialize(rule_json=st.sampled_from(SCHEDULES), to=st.sampled_from(TO), grid=st.sampled_from(GRIDS))
    def begin(self, rule_json: Any, to: list[str], grid: Any) -> None:
        self.run(self._create(rule_json, to))
        self.run(self._create(grid, ["puppet:a"]))

    @precondition(lambda self: len(self.made) < 4)
    @rule(rule_json=st.sampled_from(SCHEDULES), to=st.sampled_from(TO))
    def create(self, rule_json: Any, to: list[str]) -> None:
        self.run(self._create(rule_json, to))

    async def _create(self, rule_json: Any, to: list[str]) -> None:
        async with self.world.request() as ctx:
            saved = await notifications.create(ctx, {**DRAFT, "schedule": rule_json, "to": to})
            self.made.append(str(saved.row.id))
            read = schedule.parse(saved.row.schedule)
            if rule_json in GRIDS:
                self.untouched[self.made[-1]] = (read, ctx.now)

    @rule(number=rarely_a_grid, rule_json=st.sampled_from(SCHEDULES))
    def edit_schedule(self, number: int, rule_json: Any) -> None:
        self.run(self._update(number, {"schedule": rule_json}))

    @rule(number=rarely_a_grid, to=st.sampled_from(TO))
    def redirect(self, number: int, to: list[str]) -> None:
        self.run(self._update(number, {"to": to}))

    async def _update(self, number: int, changes: dict[str, Any]) -> None:
        async with self.world.request() as ctx:
            await notifications.update(ctx, self._touch(number), changes, revision=None)

    def _chosen(self, number: int) -> str:
        return self.made[number % len(self.made)]

    def _touch(self, number: int) -> str:
        """Choose one whose slots cannot be told beforehand from now on."""
        self.untouched.pop(self._chosen(number), None)
        return self._chosen(number)

    @rule(number=which, hours=st.sampled_from([None, 1, 30]), cancel=st.booleans())
    def pause(self, number: int, hours: int | None, cancel: bool) -> None:
        until = hours and self.world.now + timedelta(hours=hours)
        self.run(self._pause(number, {"until": until, "cancel_pending": cancel}))

    async def _pause(self, number: int, options: dict[str, Any]) -> None:
        async with self.world.request() as ctx:
            await pausing.pause(ctx, self._chosen(number), options)

    @rule(number=which, catch_up=st.booleans())
    def resume(self, number: int, catch_up: bool) -> None:
        self.run(self._resume(number, catch_up))

    async def _resume(self, number: int, catch_up: bool) -> None:
        async with self.world.request() as ctx:
            await pausing.resume(ctx, self._chosen(number), catch_up=catch_up)

    @precondition(lambda self: len(self.made) > 2)
    @rule(number=rarely_a_grid, purge=st.booleans())
    def delete(self, number: int, purge: bool) -> None:
        self.run(self._delete(number, purge))

    async def _delete(self, number: int, purge: bool) -> None:
        async with self.world.request() as ctx:
            await notifications.delete(ctx, self._touch(number), revision=None, purge=purge)

    @rule(number=which, reset_clock=st.booleans())
    def send_now(self, number: int, reset_clock: bool) -> None:
        self.run(self._send_now(number, reset_clock))

    async def _send_now(self, number: int, reset_clock: bool) -> None:
        async with self.world.request() as ctx:
            chosen = self._touch(number) if reset_clock else self._chosen(number)
            await sending.send_now(ctx, chosen, reset_clock=reset_clock)

    @rule(number=which, later=st.sampled_from([None, timedelta(minutes=7), timedelta(days=2)]))
    def except_next_slot(self, number: int, later: timedelta | None) -> None:
        self.run(self._except(number, later))

    async def _except(self, number: int, later: timedelta | None) -> None:
        async with self.world.request() as ctx:
            row = await notifications.get(ctx, self._touch(number) if later else self._chosen(number))
            slot = row.next_due_at
            how = {"action": "move", "move_to": slot + later} if later and slot else {"action": "skip"}
            draft = {"slot": slot or ctx.now, "move_to": None, "title": None, "body": None, **how}
            await exceptions.create(ctx, str(row.id), draft)

    @rule(number=which)
    def enable_destination(self, number: int) -> None:
        self.run(self._enable(number))

    async def _enable(self, number: int) -> None:
        rows = await self.world.sql("SELECT id FROM destinations ORDER BY blocked_at IS NULL, name")
        async with self.world.request() as ctx:
            await destinations.update(
                ctx, str(rows[number % len(rows)].id), {"status": "active"}, revision=None
            )

    @rule(number=which, as_new=st.booleans())
    def replay(self, number: int, as_new: bool) -> None:
        self.run(self._replay(number, as_new))

    async def _replay(self, number: int, as_new: bool) -> None:
        row = one_of(await self.world.deliveries("finished_at IS NOT NULL"), number)
        if row:
            async with self.world.request() as ctx:
                await replaying.replay(ctx, str(row.id), as_new=as_new)

    @rule(number=which, decision=st.sampled_from(list(Decision)))
    def resolve_unknown(self, number: int, decision: Decision) -> None:
        self.run(self._resolve(number, decision))

    async def _resolve(self, number: int, decision: Decision) -> None:
        row = one_of(await self.world.deliveries("d.status = 'unknown'"), number)
        if row:
            async with self.world.request() as ctx:
                await deliveries.resolve(ctx, str(row.id), decision)
                self.world.asked_again[row.id] += decision is Decision.RETRY

    @rule(release=st.booleans())
    def decide_held(self, release: bool) -> None:
        self.run(self._decide_held(release=release))

    async def _decide_held(self, *, release: bool) -> None:
        async with self.world.request() as ctx:
            await deliveries.decide_held(ctx, release=release, filters={})
