"""One worker holds a delivery at a time, and only the one that holds it writes how it ended."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from notifier.domain.delivery import AttemptOutcome, Outcome, Reason, Status
from notifier.domain.retry import Verdict
from notifier.storage import claims, outcomes
from notifier.storage.claims import Claim
from notifier.storage.engine import Session
from notifier.storage.known_destinations import KnownDestinations
from notifier.storage.outcomes import Finished
from tests.house import PROJECT, House, bulk_due, open_house, rows_of

LEASE = 75.0
TOKEN = uuid4()
DELIVERED = (Outcome.delivered(200), Verdict(Status.DELIVERED))
RETRY = (Outcome(AttemptOutcome.FAILED, 500), Verdict(Status.RETRYING, wait=timedelta(seconds=300)))
FAILED = (Outcome(AttemptOutcome.FAILED, 500), Verdict(Status.FAILED, Reason.RETRIES_EXHAUSTED))


@pytest.fixture
async def house(database_url: str, redis_url: str) -> AsyncIterator[House]:
    """Yield a wired service on a database and a queue of its own."""
    async with open_house(database_url, redis_url, database_pool_size=25) as opened:
        yield opened


async def claim(house: House, delivery_id: UUID, token: UUID | None = None) -> Claim | None:
    async with house.database.transaction() as session:
        (taken,) = await claims.claim(
            session, [(PROJECT, delivery_id)], token or uuid4(), LEASE, KnownDestinations()
        )
    return taken


async def held(house: House) -> Claim:
    """Return the claim of a delivery that has just been planned."""
    found = await claim(house, (await house.plan_one()).id)
    assert found is not None
    return found


def finished(held: Claim, how: tuple[Outcome, Verdict], **changes: Any) -> Finished:
    token = changes.get("token", held.lease_token)
    key = (held.project_id, held.id, held.destination_id)
    return Finished(*key, token, held.attempts_made, *how, duration_ms=12)


async def test_of_twenty_claims_at_the_same_time_one_succeeds(house: House) -> None:
    planned = await house.plan_one()
    found = await asyncio.gather(*(claim(house, planned.id) for _ in range(20)))
    assert len([one for one in found if one]) == 1
    assert len(await house.attempts()) == 1
    assert (await house.delivery()).attempts_made == 1


async def test_a_claim_writes_its_attempt_and_its_lease(house: House) -> None:
    token = uuid4()
    planned = await house.plan_one()
    await claim(house, planned.id, token)
    row = await house.one(
        "SELECT *, extract(epoch FROM lease_expires_at - first_attempt_at)::float8 AS lease FROM deliveries"
    )
    (attempt,) = await house.attempts()
    assert (row.status, row.lease_token, row.lease) == ("sending", token, LEASE)
    assert (attempt.number, attempt.outcome, attempt.started_at) == (1, None, row.first_attempt_at)


async def test_a_claim_that_is_not_committed_leaves_no_attempt(house: House) -> None:
    planned = await house.plan_one()
    async with house.database.engine.connect() as connection:
        assert None not in await claims.claim(
            Session(connection), [(PROJECT, planned.id)], uuid4(), LEASE, KnownDestinations()
        )
    assert await house.attempts() == []
    assert (await house.delivery()).status == "pending"


async def test_who_asks_again_because_the_answer_was_lost_has_the_same_claim(house: House) -> None:
    token = uuid4()
    planned = await house.plan_one()
    first, again = [await claim(house, planned.id, token) for _ in range(2)]
    assert first is not None
    assert again is not None
    assert (again.attempts_made, again.lease_token) == (1, token)
    assert len(await house.attempts()) == 1
    assert await claim(house, planned.id) is None


@pytest.mark.parametrize(
    "change",
    [
        "next_attempt_at = now() + interval '1 second'",
        "next_attempt_at = NULL",
        "start_by = now()",
        "attempts_made = 1, expires_at = now()",
        "status = 'held'",
        "status = 'unknown'",
        "status = 'delivered'",
        "status = 'failed'",
        "status = 'canceled'",
        "status = 'missed'",
        "status = 'skipped'",
        "status = 'sending', lease_token = gen_random_uuid(), lease_expires_at = now() - interval '1 hour'",
    ],
)
async def test_what_is_not_due_not_waiting_or_too_late_cannot_be_claimed(house: House, change: str) -> None:
    planned = await house.plan_one()
    await house.sql(f"UPDATE deliveries SET {change}")
    assert await claim(house, planned.id) is None
    assert await house.attempts() == []


@pytest.mark.parametrize("change", ["status = 'retrying'", "expires_at = NULL", "expires_at = now() + '1 s'"])
async def test_what_waits_and_is_due_in_time_can_be_claimed(house: House, change: str) -> None:
    planned = await house.plan_one()
    await house.sql(f"UPDATE deliveries SET {change}")
    assert await claim(house, planned.id) is not None


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [(DELIVERED, "delivered", None), (RETRY, "retrying", None), (FAILED, "failed", "retries_exhausted")],
)
async def test_who_holds_the_lease_writes_the_outcome(
    house: House, how: tuple[Outcome, Verdict], status: str, reason: str | None
) -> None:
    claimed = await held(house)
    async with house.database.transaction() as session:
        assert await outcomes.finish(session, [finished(claimed, how)]) == [True]
    row = await house.delivery()
    (attempt,) = await house.attempts()
    assert (row.status, row.reason, row.lease_token) == (status, reason, None)
    assert (row.finished_at is None) == (row.next_attempt_at is not None) == (status == "retrying")
    assert (attempt.outcome, attempt.duration_ms) == (how[0].result, 12)


async def test_who_does_not_hold_the_lease_writes_nothing(house: House) -> None:
    claimed = await held(house)
    async with house.database.transaction() as session:
        fenced = [finished(claimed, DELIVERED, token=uuid4())]
        assert await outcomes.finish(session, fenced) == [False]
        assert await outcomes.absorb(session, fenced) == [False]
    assert (await house.delivery()).status == "sending"
    assert [one.outcome for one in await house.attempts()] == [None]


async def test_the_same_outcome_twice_is_written_once(house: House) -> None:
    claimed = await held(house)
    for expected in ([True], [False]):
        async with house.database.transaction() as session:
            assert await outcomes.finish(session, [finished(claimed, DELIVERED)]) == expected


async def test_of_two_outcomes_the_later_one_sets_the_clock_whoever_writes_first(house: House) -> None:
    await house.create_due(to=["puppet:a", "puppet:b"])
    await house.plan()
    first, second = [await claim(house, row.id) for row in await house.deliveries()]
    assert first
    assert second
    async with house.database.transaction() as early:
        # its now() is that of its first statement, so it is the earlier one even though it writes last
        await rows_of(early, "SELECT now()")
        async with house.database.transaction() as late:
            await outcomes.finish(late, [finished(second, DELIVERED)])
        await outcomes.finish(early, [finished(first, DELIVERED)])
    row = await house.notification(first.notification_id)
    latest = await house.one("SELECT max(finished_at) AS at, min(finished_at) AS other FROM deliveries")
    assert latest.at > latest.other
    assert row.last_delivered_at == row.anchor_at == latest.at
    assert row.next_due_at == latest.at + timedelta(hours=24)


async def test_giving_back_a_retry_leaves_the_attempts_before_it(house: House) -> None:
    claimed = await held(house)
    async with house.database.transaction() as session:
        await outcomes.finish(session, [finished(claimed, RETRY)])
    await house.sql("UPDATE deliveries SET next_attempt_at = now()")
    again = await claim(house, claimed.id)
    assert again
    async with house.database.transaction() as session:
        await claims.give_back(session, PROJECT, again.id, again.lease_token)
    row = await house.delivery()
    assert (row.status, row.attempts_made, row.first_attempt_at) == ("retrying", 1, claimed.first_attempt_at)
    assert [one.number for one in await house.attempts()] == [1]
    assert await claim(house, claimed.id) is not None


async def test_only_the_holder_can_give_back(house: House) -> None:
    claimed = await held(house)
    async with house.database.transaction() as session:
        await claims.give_back(session, PROJECT, claimed.id, uuid4())
    assert (await house.delivery()).status == "sending"


async def test_a_destination_is_blocked_once_and_the_first_reason_stays(house: House) -> None:
    claimed = await held(house)
    for reason in ("gone", "again"):
        async with house.database.transaction() as session:
            await claims.block_destination(session, PROJECT, claimed.destination_id, reason)
    row = await house.one("SELECT * FROM destinations")
    assert (row.blocked_reason, row.revision) == ("gone", 2)
    # what a worker holds is not touched
    assert (await house.delivery()).status == "sending"


async def test_many_claims_are_one_statement_and_leave_out_what_is_not_there(house: House) -> None:
    await bulk_due(house, 50)
    await house.plan()
    wanted = [(PROJECT, row.id) for row in await house.deliveries()]
    async with house.database.transaction() as session:
        taken = await claims.claim(session, [*wanted, (PROJECT, uuid4())], TOKEN, LEASE, KnownDestinations())
    found = [row and (row.project_id, row.id, row.lease_token) for row in taken]
    assert found == [*((*key, TOKEN) for key in wanted), None]
    assert len(await house.attempts()) == 50


async def test_a_delivery_that_is_asked_for_twice_is_claimed_once(house: House) -> None:
    wanted = (PROJECT, (await house.plan_one()).id)
    async with house.database.transaction() as session:
        taken = await claims.claim(session, [wanted, wanted], TOKEN, LEASE, KnownDestinations())
    assert len([one for one in taken if one]) == 1
    assert len(await house.attempts()) == 1


async def test_of_many_outcomes_those_are_told_whose_lease_is_lost(house: House) -> None:
    await bulk_due(house, 3)
    await house.plan()
    held = [await claim(house, row.id) for row in await house.deliveries()]
    tokens = (None, uuid4(), None)
    ends = [
        finished(row, DELIVERED, token=token or row.lease_token)
        for row, token in zip(held, tokens, strict=True)
        if row
    ]
    async with house.database.transaction() as session:
        assert await outcomes.finish(session, ends) == [True, False, True]
        assert await outcomes.finish(session, []) == []


async def test_a_claim_leaves_all_indexes_of_the_ledger_alone(house: House) -> None:
    await bulk_due(house, 30)
    await house.plan()
    wanted = [(PROJECT, row.id) for row in await house.deliveries()]
    async with house.database.transaction() as session:
        await claims.claim(session, wanted, TOKEN, LEASE, KnownDestinations())
        written = "pg_stat_get_xact_tuples_updated('deliveries'::regclass)"
        in_page = "pg_stat_get_xact_tuples_hot_updated('deliveries'::regclass)"
        counted = (await session.execute(text(f"SELECT {written}, {in_page}"))).one()
    assert tuple(counted) == (30, 30)


async def test_many_outcomes_are_one_statement_and_each_delivery_keeps_its_own(house: House) -> None:
    await bulk_due(house, 9)
    await house.plan()
    held = [await claim(house, row.id) for row in await house.deliveries()]
    ends = [DELIVERED, RETRY, FAILED] * 3
    async with house.database.transaction() as session:
        written = await outcomes.finish(
            session, [finished(row, how) for row, how in zip(held, ends, strict=True) if row]
        )
    assert written == [True] * 9
    found = {row.id: (row.status, row.reason) for row in await house.deliveries()}
    assert found == {
        row.id: (how[1].status, how[1].reason) for row, how in zip(held, ends, strict=True) if row
    }


async def test_of_two_destinations_in_one_batch_the_clock_moves_once(house: House) -> None:
    await house.create_due(to=["puppet:a", "puppet:b"])
    await house.plan()
    held = [await claim(house, row.id) for row in await house.deliveries()]
    async with house.database.transaction() as session:
        await outcomes.finish(session, [finished(row, DELIVERED) for row in held if row])
    row = await house.notification(held[0].notification_id)
    latest = await house.one("SELECT max(finished_at) AS at FROM deliveries")
    assert row.last_delivered_at == row.anchor_at == latest.at
    assert row.next_due_at == latest.at + timedelta(hours=24)
