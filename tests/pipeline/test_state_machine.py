"""The engine as a state machine: whatever happens in whatever order, the ledger tells a whole story.

The real planner, deliverer and rescuer run on a real database, at a time that the machine moves.
`LEDGER_EXAMPLES` and `LEDGER_STEPS` make a longer run, from a random seed.
"""

import asyncio
import os
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from notifier.domain import schedule
from notifier.domain.delivery import AMBIGUOUS, AttemptOutcome, Decision, Outcome, Reason
from notifier.services import (
    deliveries,
    destinations,
    exceptions,
    notifications,
    pausing,
    replaying,
    sending,
)
from tests.house import DRAFT, House, open_house
from tests.pipeline.invariants import Witness
from tests.pipeline.world import LEASE, Hand, World

T = TypeVar("T")

BERLIN = {"timezone": "Europe/Berlin"}
SCHEDULES: tuple[Any, ...] = (
    "daily",
    {"kind": "interval", "every": "PT1H"},
    {"kind": "interval", "every": "PT6H", "anchor": "grid"},
    {"kind": "interval", "every": "PT2H", "max_occurrences": 2},
    {"kind": "calendar", "frequency": "daily", "times": ["02:30"], **BERLIN},
    {"kind": "calendar", "frequency": "daily", "times": ["09:00", "18:00"], **BERLIN, "max_occurrences": 3},
    {
        "kind": "calendar",
        "frequency": "daily",
        "times": ["08:00", "20:00"],
        **BERLIN,
        "missed": {"policy": "all"},
    },
    {"kind": "cron", "expression": "*/20 * * * *", **BERLIN},
    {"kind": "cron", "expression": "0 * * * *", **BERLIN, "missed": {"policy": "skip", "grace": "PT10M"}},
    {"kind": "once", "at": "2024-03-30T12:00:00Z"},
)
GRIDS = tuple(one for one in SCHEDULES[2:9] if "max_occurrences" not in one)
"""Those whose slots can be told beforehand."""

TO = (["puppet:a"], ["puppet:careful"], ["puppet:a", "puppet:careful"], ["puppet:hasty"])
GONE = Outcome.rejected(Reason.DESTINATION_GONE, "gone", 410)
OUTCOMES = (
    Outcome.delivered(200),
    Outcome(AttemptOutcome.FAILED, 500, "no"),
    Outcome(AttemptOutcome.FAILED, 429, "later", retry_after=timedelta(hours=1)),
    Outcome(AttemptOutcome.TIMEOUT, error="no answer"),
    Outcome(AttemptOutcome.CONNECTION_LOST, error="gone"),
    Outcome(AttemptOutcome.UNKNOWN, error="internal error"),
    Outcome.rejected(Reason.RECIPIENT_REJECTED, "no", 550),
    GONE,
)
WAITS = [timedelta(seconds=s) for s in (1, 6, LEASE + 1, 320, 3600, 6 * 3600, 86_400, 3 * 86_400)]
NEXT_EVENT = """
SELECT min(at) AS at FROM (
  SELECT next_due_at AS at FROM notifications WHERE status = 'active'
  UNION ALL SELECT paused_until FROM notifications WHERE status = 'paused'
  UNION ALL SELECT next_attempt_at FROM deliveries WHERE status IN ('pending', 'retrying')
  UNION ALL SELECT lease_expires_at FROM deliveries WHERE status = 'sending'
) AS events WHERE at > :now
"""
ROUNDS = 40
"""More than a message has tries."""

which = st.integers(0, 11)
rarely_a_grid = st.sampled_from([0, 0, 0, 1, 2, 3])
"""The second one that is made is such a one."""

outcomes = st.sampled_from(OUTCOMES)
"""Shrinks to a delivery."""


def one_of(rows: Sequence[T], number: int) -> T | None:
    """Return one of the rows, if there is any."""
    return rows[number % len(rows)] if rows else None


class Ledger(RuleBasedStateMachine):
    """What can happen to the ledger."""

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

    # users

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

    # the engine

    @rule(batch=st.sampled_from([1, 2, 1000]), hold=st.sampled_from([False, False, False, True]))
    def plan(self, batch: int, hold: bool) -> None:
        before = self.world.now - timedelta(hours=1)
        self.run(self.world.plan(batch, before if hold else None))
        self.run(self.witness.after_a_sweep())

    @rule(number=which)
    def claim(self, number: int) -> None:
        self.run(self._claim(number))

    async def _claim(self, number: int) -> Hand | None:
        """Take something up; if nothing waits, wait until something does."""
        if not await self.world.waiting():
            await self._to_next_event()
            await self.world.plan()
        row = one_of(await self.world.waiting(), number)
        return row and await self.world.pick_up(row)

    @rule(number=which)
    def claim_another(self, number: int) -> None:
        self.run(self._claim(number))

    @rule(number=which, outcome=outcomes, arrived=st.booleans())
    def send(self, number: int, outcome: Outcome, arrived: bool) -> None:
        if hand := self.run(self._claim(number)):
            self._finish(hand, outcome, arrived)

    @precondition(lambda self: self.world.hands)
    @rule(number=which, outcome=outcomes, arrived=st.booleans())
    def finish(self, number: int, outcome: Outcome, arrived: bool) -> None:
        self._finish(self.world.hands[number % len(self.world.hands)], outcome, arrived)

    def _finish(self, hand: Hand, outcome: Outcome, arrived: bool) -> None:
        self.run(self.world.finish(hand, outcome, arrived=arrived and outcome.result in AMBIGUOUS))

    @precondition(lambda self: self.world.hands)
    @rule(number=which, arrived=st.booleans())
    def crash(self, number: int, arrived: bool) -> None:
        hand = self.world.hands[number % len(self.world.hands)]
        self.run(self.world.crash(hand, arrived=arrived))

    @rule(number=which, arrived=st.booleans(), times=st.sampled_from([1, 3]))
    def lose_workers(self, number: int, arrived: bool, times: int) -> None:
        """Claim, crash, and wait until that is found out; three times is what a message may do."""
        for _ in range(times):
            if hand := self.run(self._claim(number)):
                self.run(self.world.crash(hand, arrived=arrived))
                self._rescue_after(LEASE + 10)

    @rule(number=which)
    def freeze_a_worker(self, number: int) -> None:
        """Claim, and have the lease end; somebody else may go on, and so may the frozen one."""
        if self.run(self._claim(number)):
            self._rescue_after(LEASE + 10)
            self.run(self._claim(number))

    def _rescue_after(self, seconds: int) -> None:
        self.world.advance(timedelta(seconds=seconds))
        self.run(self.world.rescue())

    @rule(number=which, days=st.sampled_from([1, 3]))
    def rest(self, number: int, days: int) -> None:
        """Pause for some days, and go on."""
        self.run(self._pause(number, {}))
        self.world.advance(timedelta(days=days))
        self.run(self._resume(number, catch_up=False))
        self.run(self.witness.look())
        self._check_slots(self._chosen(number))

    def _check_slots(self, wanted: str) -> None:
        if wanted in self.untouched:
            self.run(self.witness.slots_of(UUID(wanted), *self.untouched[wanted]))

    @rule(number=which)
    def lose_a_receiver(self, number: int) -> None:
        """Send to one that is gone, and plan on; then it is back."""
        if hand := self.run(self._claim(number)):
            self._finish(hand, GONE, arrived=False)
            self.run(self._to_next_event())
            self.run(self.world.plan())
            self.run(self.witness.look())
            self.run(self._enable(0))

    @rule(number=which)
    def delete_while_it_is_sent(self, number: int) -> None:
        """The worker learns of it only when it writes down that it failed."""
        if len(self.made) > 2 and (hand := self.run(self._claim(number))):
            for one in range(len(self.made)):
                self.run(self._delete(one, purge=False))
            self._finish(hand, OUTCOMES[1], arrived=False)

    @rule()
    def rescue(self) -> None:
        self.run(self.world.rescue())

    @rule()
    def retain(self) -> None:
        self.run(self.world.retain())

    # time

    @rule(by=st.sampled_from(WAITS))
    def wait(self, by: timedelta) -> None:
        self.world.advance(by)

    @rule()
    def wait_for_the_next_event(self) -> None:
        self.run(self._to_next_event())

    async def _to_next_event(self) -> None:
        (row,) = await self.world.sql(NEXT_EVENT, now=self.world.now)
        self.world.advance((row.at or self.world.now) - self.world.now)

    # what is always true

    @invariant()
    def the_ledger_tells_a_whole_story(self) -> None:
        self.run(self.witness.look())

    def teardown(self) -> None:
        """Let all that is open come to its end: nothing waits in vain."""
        self.run(self._end())
        for wanted in self.untouched:
            self._check_slots(wanted)

    async def _end(self) -> None:
        for hand in list(self.world.hands):
            await self.world.finish(hand, OUTCOMES[0], arrived=True)
        await self.world.sql("UPDATE notifications SET paused_at = now() WHERE deleted_at IS NULL")
        for _ in range(ROUNDS):
            for number in range(4):
                await self._enable(number)
            await self._decide_held(release=True)
            async with self.world.request() as ctx:
                await deliveries.decide_unknown(ctx, Decision.FAILED, filters={})
            await self.world.rescue()
            for row in await self.world.waiting():
                if hand := await self.world.pick_up(row):
                    await self.world.finish(hand, OUTCOMES[0], arrived=True)
            if not await self.world.deliveries("finished_at IS NULL"):
                break
            await self._to_next_event()
        await self.witness.look()
        assert await self.world.deliveries("finished_at IS NULL") == []


EXAMPLES = int(os.environ.get("LEDGER_EXAMPLES", "0"))
STEPS = int(os.environ.get("LEDGER_STEPS", "40"))


@pytest.mark.timeout(0 if EXAMPLES else 120)
def test_the_ledger_tells_a_whole_story_whatever_happens(database_url: str, redis_url: str) -> None:
    chosen = settings(
        max_examples=EXAMPLES or 40,
        stateful_step_count=STEPS,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        print_blob=False,
        # to find a shorter way to a failure takes minutes
        phases=list(Phase) if EXAMPLES else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with asyncio.Runner() as runner:
        opened = open_house(database_url, redis_url)
        house = runner.run(opened.__aenter__())
        try:
            run_state_machine_as_test(lambda: Ledger(runner, house), settings=chosen)  # type: ignore[arg-type]
        finally:
            runner.run(opened.__aexit__(None, None, None))
