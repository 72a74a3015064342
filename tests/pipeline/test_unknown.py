"""A destination that asks for it never gets a message twice: what may have arrived waits for a decision."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Row

from notifier.domain.delivery import AMBIGUOUS, AttemptOutcome, Decision, Envelope, Outcome
from notifier.jobs import Job
from notifier.services import deliveries, destinations, notifications
from notifier.storage import rescue
from notifier.storage.stretches import ALL
from tests.house import PROJECT, House

TIMEOUT = Outcome(AttemptOutcome.TIMEOUT, error="no answer")
FAILED = Outcome(AttemptOutcome.FAILED, 500, "HTTP 500")


class Killed(BaseException):
    """What a worker's end is to the delivery in its hands."""


async def die(_envelope: Envelope) -> Outcome:
    """End as a killed worker does: nothing is recorded."""
    raise Killed


async def plan_one(house: House, *, on_unknown: str = "hold", **draft: Any) -> Row[Any]:
    """Return the delivery of a slot to a destination that has this setting."""
    planned = await house.plan_one(**draft)
    await house.sql("UPDATE destinations SET on_unknown = :how", how=on_unknown)
    return planned


async def end_lease(house: House) -> None:
    await house.sql("UPDATE deliveries SET lease_expires_at = now() - interval '1 second'")
    await house.rescue()


async def make_unknown(house: House, **draft: Any) -> Row[Any]:
    """Return a delivery of which nobody knows whether it arrived."""
    await plan_one(house, **draft)
    house.puppet.script.append(TIMEOUT)
    row = await house.send()
    assert row.status == "unknown"
    return row


async def decide(house: House, row: Row[Any], decision: Decision) -> Row[Any]:
    async with house.context() as ctx:
        await deliveries.resolve(ctx, str(row.id), decision)
    return await house.delivery()


@pytest.mark.parametrize("outcome", sorted(AMBIGUOUS))
async def test_what_may_have_arrived_waits_for_a_decision(house: House, outcome: AttemptOutcome) -> None:
    await plan_one(house)
    house.puppet.script.append(Outcome(outcome, error="who knows"))
    row = await house.send()
    assert (row.status, row.reason, row.next_attempt_at, row.finished_at) == ("unknown", None, None, None)
    assert (row.lease_token, row.enqueued_at) == (None, None)
    assert [one.outcome for one in await house.attempts()] == [outcome]
    assert (await house.rescue()).rung == 0
    await house.send()
    assert len(house.puppet.sent) == 1


@pytest.mark.parametrize("outcome", sorted(AMBIGUOUS))
async def test_by_default_it_is_sent_again(house: House, outcome: AttemptOutcome) -> None:
    await plan_one(house, on_unknown="retry")
    house.puppet.script.append(Outcome(outcome))
    assert (await house.send()).status == "retrying"


async def test_a_definite_failure_is_tried_again_all_the_same(house: House) -> None:
    await plan_one(house)
    house.puppet.script.append(FAILED)
    assert (await house.send()).status == "retrying"
    await house.sql("UPDATE deliveries SET next_attempt_at = now()")
    assert (await house.send()).status == "delivered"


async def test_what_a_dead_worker_held_waits_for_a_decision(house: House) -> None:
    await plan_one(house)
    house.puppet.script.append(die)
    with suppress(Killed):
        await house.send()
    await end_lease(house)
    row = await house.delivery()
    assert (row.status, row.reason, row.next_attempt_at, row.finished_at) == ("unknown", None, None, None)
    assert (row.lease_token, row.lease_expires_at) == (None, None)
    assert [one.outcome for one in await house.attempts()] == ["unknown"]
    await house.send()
    assert len(house.puppet.sent) == 1


async def test_one_pass_frees_for_both_kinds_of_destination(house: House) -> None:
    await house.create_due(to=["puppet:a", "puppet:b"])
    await house.plan()
    await house.sql("UPDATE destinations SET on_unknown = 'hold' WHERE config->>'name' = 'b'")
    for row in await house.deliveries():
        house.puppet.script.append(die)
        with suppress(Killed):
            await house.send(row)
    await house.sql("UPDATE deliveries SET lease_expires_at = now() - interval '1 second'")
    async with house.database.transaction() as session:
        assert await rescue.break_leases(session, ALL, 10) == 2
    found = await house.sql(
        "SELECT t.config->>'name' AS name, d.status FROM deliveries AS d"
        " JOIN destinations AS t ON t.id = d.destination_id ORDER BY name"
    )
    assert [tuple(row) for row in found] == [("a", "retrying"), ("b", "unknown")]


async def test_a_worker_thought_dead_that_succeeds_after_all_settles_it(house: House) -> None:
    async def late(_envelope: Envelope) -> Outcome:
        await end_lease(house)
        assert (await house.delivery()).status == "unknown"
        return Outcome.delivered(200)

    await plan_one(house)
    house.puppet.script.append(late)
    row = await house.send()
    assert (row.status, row.reason) == ("delivered", None)
    assert [one.outcome for one in await house.attempts()] == ["delivered"]
    notification = await house.notification(row.notification_id)
    assert notification.next_due_at == row.finished_at + timedelta(hours=24)


async def test_it_does_not_stand_in_the_way_of_the_next_slots(house: House) -> None:
    first = await make_unknown(house)
    await house.make_due(first.notification_id)
    await house.plan()
    second = next(row for row in await house.deliveries() if row.id != first.id)
    assert (await house.send(second)).status == "delivered"
    assert {row.id: row.status for row in await house.deliveries()} == {
        first.id: "unknown",
        second.id: "delivered",
    }


async def test_it_outlives_its_next_slot_and_the_end_of_both_its_ends(house: House) -> None:
    row = await make_unknown(house)
    await house.sql("UPDATE deliveries SET expires_at = now()")
    async with house.context() as ctx:
        await notifications.delete(ctx, str(row.notification_id), revision=None)
        await destinations.delete(ctx, str(row.destination_id), revision=None)
    await house.rescue()
    assert (await house.delivery()).status == "unknown"


async def test_settled_as_delivered_it_ends_and_the_clock_stays(house: House) -> None:
    row = await make_unknown(house)
    before = await house.notification(row.notification_id)
    done = await decide(house, row, Decision.DELIVERED)
    assert (done.status, done.reason, done.attempts_made) == ("delivered", "decided", 1)
    assert done.finished_at is not None
    after = await house.notification(row.notification_id)
    assert (after.next_due_at, after.last_delivered_at) == (before.next_due_at, before.last_delivered_at)


async def test_settled_as_failed_it_ends(house: House) -> None:
    done = await decide(house, await make_unknown(house), Decision.FAILED)
    assert (done.status, done.reason) == ("failed", "decided")
    assert done.finished_at is not None


async def test_sent_again_it_goes_out_as_the_same_message_even_after_its_next_slot(house: House) -> None:
    row = await make_unknown(house)
    await house.sql("UPDATE deliveries SET expires_at = now()")
    again = await decide(house, row, Decision.RETRY)
    assert again.status == "retrying"
    assert Job(PROJECT, row.id, row.enqueue_seq + 1).id in await house.rung()
    done = await house.send()
    assert (done.status, done.attempts_made) == ("delivered", 2)
    assert len({one.message_id for one in house.puppet.sent}) == 1


async def test_sent_again_in_vain_it_is_unknown_once_more(house: House) -> None:
    row = await make_unknown(house)
    await decide(house, row, Decision.RETRY)
    house.puppet.script.append(TIMEOUT)
    assert (await house.send()).status == "unknown"


async def test_sent_again_to_a_blocked_destination_it_is_held(house: House) -> None:
    row = await make_unknown(house)
    await house.sql("UPDATE destinations SET blocked_at = now()")
    await decide(house, row, Decision.RETRY)
    await house.rescue()
    assert (await house.delivery()).status == "held"
    assert len(house.puppet.sent) == 1


async def test_a_success_that_comes_while_somebody_decides_counts_once(house: House) -> None:
    """The worker's success and ten decisions at once: the delivery ends once, by whoever is first."""

    async def late(_envelope: Envelope) -> Outcome:
        await end_lease(house)
        return Outcome.delivered(200)

    async def settle() -> None:
        with suppress(Exception):
            await decide(house, row, Decision.FAILED)

    row = await plan_one(house)
    house.puppet.script.append(late)
    await asyncio.gather(house.send(), *(settle() for _ in range(10)))
    done = await house.delivery()
    assert (done.status, done.reason) in {("delivered", None), ("failed", "decided")}
    assert len(house.puppet.sent) == 1
