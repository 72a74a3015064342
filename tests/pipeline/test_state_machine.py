"""The engine as a state machine: whatever happens in whatever order, the ledger tells a whole story.

The real planner, deliverer and rescuer run on a real database, at a time that the machine moves.
`LEDGER_EXAMPLES` and `LEDGER_STEPS` make a longer run, from a random seed.
"""

import asyncio
import os
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from notifier.domain.delivery import AMBIGUOUS, Decision, Outcome
from notifier.services import deliveries
from tests.house import open_house
from tests.pipeline.draws import GONE, OUTCOMES, WAITS, outcomes, which
from tests.pipeline.users import Users, one_of
from tests.pipeline.world import LEASE, Hand

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


class Ledger(Users):
    """What can happen to the ledger: by users, by the engine, by accidents, in time."""

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


@pytest.mark.long
@pytest.mark.timeout(0 if EXAMPLES else 300)
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
