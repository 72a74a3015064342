"""A lease fences a delivery: who has lost it changes nothing; who has an outcome waits to write it down."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from notifier.domain.delivery import AttemptOutcome, Envelope, Outcome, Reason
from notifier.pipeline.attempts import Limits
from notifier.pipeline.bookkeeping import Bookkeeping
from notifier.pipeline.deliverer import Deliverer
from tests.house import House, rows_of
from tests.servers import execute

FAILED = Outcome(AttemptOutcome.FAILED, 500, "HTTP 500")


def with_limits(
    house: House, *, lease: float = 75, longest_send: float = 30, recording: float = 225
) -> Deliverer:
    """Return a deliverer with other limits."""
    parts = house.deliverer
    limits = Limits(lease, longest_send, recording)
    books = Bookkeeping(house.database, lease=lease)
    return Deliverer(books, parts.channels, parts.cipher, parts.waits, limits)


async def break_lease(house: House) -> None:
    """Let the lease end and the rescuer find it."""
    await house.sql("UPDATE deliveries SET lease_expires_at = now() - interval '1 second'")
    assert (await house.rescue()).freed == 1


async def test_a_channel_that_hangs_past_its_lease_is_cut_off(house: House) -> None:
    async def hang(_envelope: Envelope) -> Outcome:
        await asyncio.Event().wait()
        return Outcome.delivered()

    planned = await house.plan_one()
    house.puppet.script.append(hang)
    await with_limits(house, lease=1, longest_send=0.1).deliver(planned.project_id, planned.id)
    assert (await house.delivery()).status == "retrying"
    assert [one.outcome for one in await house.attempts()] == ["unknown"]


async def test_a_failure_that_comes_after_the_lease_was_broken_is_dropped(house: House) -> None:
    async def late(_envelope: Envelope) -> Outcome:
        await break_lease(house)
        return Outcome.rejected(Reason.RECIPIENT_REJECTED, "no")

    await house.plan_one()
    house.puppet.script.append(late)
    row = await house.send()
    assert (row.status, row.reason) == ("retrying", None)
    assert [one.outcome for one in await house.attempts()] == ["unknown"]


async def test_a_success_that_comes_after_the_lease_was_broken_is_absorbed(house: House) -> None:
    async def late(_envelope: Envelope) -> Outcome:
        await break_lease(house)
        return Outcome.delivered(200)

    await house.plan_one()
    house.puppet.script.append(late)
    row = await house.send()
    assert row.status == "delivered"
    assert [one.outcome for one in await house.attempts()] == ["delivered"]
    notification = await house.notification(row.notification_id)
    assert notification.next_due_at == row.finished_at + timedelta(hours=24)
    await house.send()
    assert len(house.puppet.sent) == 1


async def test_a_late_success_is_taken_even_after_another_try_has_failed(house: House) -> None:
    async def late(_envelope: Envelope) -> Outcome:
        await break_lease(house)
        await house.send()
        return Outcome.delivered(200)

    await house.plan_one()
    house.puppet.script.extend([late, FAILED])
    assert (await house.send()).status == "delivered"
    assert [(one.number, one.outcome) for one in await house.attempts()] == [(1, "delivered"), (2, "failed")]


@pytest.mark.parametrize("reason", ["next_slot_reached", "poison"])
async def test_a_late_success_is_the_truth_even_where_the_row_was_given_up_without_it(
    house: House, reason: str
) -> None:
    async def late(_envelope: Envelope) -> Outcome:
        await break_lease(house)
        await house.sql(
            "UPDATE deliveries"
            " SET status = 'failed', reason = :reason, finished_at = now(), next_attempt_at = NULL",
            reason=reason,
        )
        return Outcome.delivered(200)

    await house.plan_one()
    house.puppet.script.append(late)
    row = await house.send()
    assert (row.status, row.reason) == ("delivered", None)
    assert [one.outcome for one in await house.attempts()] == ["delivered"]


async def test_a_late_success_changes_nothing_that_has_ended_by_its_own_outcome(house: House) -> None:
    async def late(_envelope: Envelope) -> Outcome:
        await break_lease(house)
        await house.send()
        return Outcome.delivered(200)

    await house.plan_one()
    no = Outcome.rejected(Reason.RECIPIENT_REJECTED, "no")
    house.puppet.script.extend([late, no])
    row = await house.send()
    assert (row.status, row.reason) == ("failed", "recipient_rejected")


async def test_a_late_success_leaves_a_try_alone_that_another_worker_has_begun(house: House) -> None:
    begun, first_is_over = asyncio.Event(), asyncio.Event()

    async def late(_envelope: Envelope) -> Outcome:
        await break_lease(house)
        others.append(asyncio.create_task(house.send()))
        await begun.wait()
        return Outcome.delivered(200)

    async def second(_envelope: Envelope) -> Outcome:
        begun.set()
        await first_is_over.wait()
        return FAILED

    others: list[asyncio.Task[Any]] = []
    await house.plan_one()
    house.puppet.script.extend([late, second])
    assert (await house.send()).status == "sending"
    first_is_over.set()
    assert (await others[0]).status == "retrying"
    assert [one.outcome for one in await house.attempts()] == ["unknown", "failed"]


async def test_a_worker_that_slept_after_its_claim_gives_it_back_unsent(house: House) -> None:
    planned = await house.plan_one()
    # a row that somebody holds for a while makes the claim as old as a frozen process would
    slow = with_limits(house, lease=30, longest_send=29.9)
    async with house.database.transaction() as session:
        await rows_of(session, "SELECT 1 FROM deliveries FOR UPDATE")
        claiming = asyncio.create_task(slow.deliver(planned.project_id, planned.id))
        await asyncio.sleep(0.3)
    await claiming
    row = await house.delivery()
    assert (row.status, row.attempts_made, row.first_attempt_at) == ("pending", 0, None)
    assert (row.enqueued_at, row.lease_token) == (None, None)
    assert await house.attempts() == []
    assert house.puppet.sent == []
    assert slow.projects._rooms == slow.receivers._rooms == {}
    assert (await house.rescue()).rung == 1
    assert (await house.send()).status == "delivered"


async def test_an_outcome_waits_for_a_database_that_restarts(house: House, postgres_url: str) -> None:
    name = house.runtime.settings.database_url.split("?", maxsplit=1)[0].rsplit("/", 1)[1]

    async def database_goes(_envelope: Envelope) -> Outcome:
        await execute(postgres_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await execute(
            postgres_url,
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
        )
        return Outcome.delivered(200)

    async def database_comes_back() -> None:
        await asyncio.sleep(0.8)
        await execute(postgres_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    planned = await house.plan_one()
    house.puppet.script.append(database_goes)
    sending = asyncio.create_task(house.deliverer.deliver(planned.project_id, planned.id))
    while not house.puppet.sent:
        await asyncio.sleep(0.01)
    await database_comes_back()
    await sending
    row = await house.delivery()
    assert (row.status, row.attempts_made) == ("delivered", 1)
    assert len(house.puppet.sent) == 1


async def test_an_outcome_that_can_never_be_written_is_given_up_in_the_end(house: House) -> None:
    async def gone(_envelope: Envelope) -> Outcome:
        await house.sql("ALTER TABLE attempts RENAME TO elsewhere")
        return Outcome.delivered(200)

    planned = await house.plan_one()
    house.puppet.script.append(gone)
    started = asyncio.get_running_loop().time()
    await with_limits(house, recording=0.3).deliver(planned.project_id, planned.id)
    assert 0.3 <= asyncio.get_running_loop().time() - started < 120
    await house.sql("ALTER TABLE elsewhere RENAME TO attempts")
    assert (await house.delivery()).status == "sending"
