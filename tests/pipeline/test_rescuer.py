"""What is stuck is freed, ended or rung for again; what is not is left alone."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.exc import DBAPIError

from notifier import jobs
from notifier.domain.delivery import AttemptOutcome, Envelope, Outcome
from notifier.jobs import Job
from notifier.pipeline import rescuer
from notifier.pipeline.rescuer import Rescued
from notifier.storage import rescue
from notifier.storage.engine import Database
from tests.house import PROJECT, House, bulk_due

NOTHING = Rescued(0, 0, 0)


class Killed(BaseException):
    """What a worker's end is to the delivery in its hands."""


async def die(_envelope: Envelope) -> Outcome:
    """End as a killed worker does: nothing is recorded."""
    raise Killed


async def kill_one(house: House) -> None:
    """Have a worker die while it sends, and let its lease end."""
    house.puppet.script.append(die)
    with suppress(Killed):
        await house.send()
    assert (await house.delivery()).status == "sending"
    await house.sql("UPDATE deliveries SET lease_expires_at = now() - interval '1 second'")


async def make_old(house: House) -> None:
    """Let the last ring be older than the rescuer's patience."""
    await house.sql("UPDATE deliveries SET enqueued_at = enqueued_at - interval '31 seconds'")


async def test_after_an_outage_workers_may_record_before_their_leases_are_broken(house: House) -> None:
    await house.plan_one()
    await kill_one(house)
    progress, away = rescuer.Progress(), Database("postgresql://notifier@/notifier?host=/nowhere")
    with pytest.raises(FileNotFoundError):
        await rescuer.run(away, house.queue, progress)
    await away.aclose()
    assert await rescuer.run(house.database, house.queue, progress) == NOTHING
    assert (await house.delivery()).status == "sending"
    progress.away_at -= rescuer.RECORDING_FIRST_SECONDS
    assert (await rescuer.run(house.database, house.queue, progress)).freed == 1


async def test_a_quiet_service_has_nothing_to_rescue(house: House) -> None:
    assert await house.rescue() == NOTHING


async def test_a_lease_that_ended_frees_its_delivery_under_a_new_job(house: House) -> None:
    await house.plan_one()
    await house.queue.redis.flushdb()
    await kill_one(house)
    assert await house.rescue() == Rescued(freed=1, expired=0, rung=1)
    row = await house.delivery()
    (attempt,) = await house.attempts()
    assert (row.status, row.unknown_streak, row.lease_token, row.enqueue_seq) == ("retrying", 1, None, 2)
    assert attempt.outcome == "unknown"
    assert "worker ended" in attempt.error
    assert await house.rung() == [Job(PROJECT, row.id, 2).id]
    assert (await house.send()).status == "delivered"
    assert [(one.number, one.outcome) for one in await house.attempts()] == [(1, "unknown"), (2, "delivered")]


async def test_a_lease_that_still_holds_is_left_alone(house: House) -> None:
    await house.plan_one()
    await kill_one(house)
    await house.sql("UPDATE deliveries SET lease_expires_at = now() + interval '1 second'")
    assert await house.rescue() == NOTHING


async def test_three_unknown_attempts_in_a_row_are_the_end(house: House) -> None:
    await house.plan_one()
    for _ in range(3):
        await house.sql("UPDATE deliveries SET next_attempt_at = now()")
        await kill_one(house)
        await house.rescue()
    row = await house.delivery()
    assert (row.status, row.reason, row.attempts_made) == ("failed", "poison", 3)
    assert row.finished_at is not None
    assert row.next_attempt_at is None
    assert {one.outcome for one in await house.attempts()} == {"unknown"}
    await house.send()
    assert len(house.puppet.sent) == 3


async def test_an_answer_in_between_starts_the_count_of_unknown_attempts_anew(house: House) -> None:
    await house.plan_one()
    for _ in range(2):
        await house.sql("UPDATE deliveries SET next_attempt_at = now()")
        await kill_one(house)
        await house.rescue()
    await house.sql("UPDATE deliveries SET next_attempt_at = now()")
    house.puppet.script.append(Outcome(AttemptOutcome.FAILED, 500))
    assert (await house.send()).unknown_streak == 0


async def test_a_freed_delivery_waits_longer_each_time(house: House) -> None:
    await house.plan_one()
    for expected in (0, 2):  # 2 s x the unknown attempts before
        await house.sql("UPDATE deliveries SET next_attempt_at = now()")
        await kill_one(house)
        await house.rescue()
        attempt = (await house.attempts())[-1]
        freed_at = attempt.started_at + timedelta(milliseconds=attempt.duration_ms)
        wait = (await house.delivery()).next_attempt_at - freed_at
        assert wait.total_seconds() == pytest.approx(expected, abs=0.002)  # durations are in milliseconds


async def test_a_job_that_waits_is_not_rung_for_again(house: House) -> None:
    await house.plan_one()
    await make_old(house)
    assert (await house.rescue()).rung == 0
    assert len(await house.rung()) == 1


async def test_a_fresh_ring_is_given_time(house: House) -> None:
    await house.plan_one()
    await house.queue.redis.flushdb()
    assert (await house.rescue()).rung == 0
    await make_old(house)
    assert (await house.rescue()).rung == 1


async def test_a_job_in_the_hands_of_a_worker_that_may_be_dead_is_rung_under_a_new_id(house: House) -> None:
    planned = await house.plan_one()
    first = Job(PROJECT, planned.id, 1)
    await house.queue.redis.set(jobs.in_progress_key_prefix + first.id, b"1")
    await make_old(house)
    assert (await house.rescue()).rung == 1
    assert await house.rung() == sorted([first.id, Job(PROJECT, planned.id, 2).id])


async def test_a_retry_that_has_come_due_is_rung_at_once(house: House) -> None:
    await house.plan_one()
    house.puppet.script.append(Outcome(AttemptOutcome.FAILED, 500))
    await house.send()
    assert (await house.rescue()).rung == 0
    await house.sql("UPDATE deliveries SET next_attempt_at = now()")
    assert (await house.rescue()).rung == 1


async def test_flushing_redis_loses_nothing(house: House) -> None:
    await bulk_due(house, 1500)
    await house.plan()
    await house.queue.redis.flushdb()
    await make_old(house)
    assert (await house.rescue()).rung == 1500  # 1,000 + 500: more than one page of rows
    assert len(await house.rung()) == 1500
    assert (await house.rescue()).rung == 0


async def test_without_redis_leases_are_broken_and_slots_expire_all_the_same(house: House) -> None:
    await house.plan_one()
    await kill_one(house)
    nobody = jobs.connect("redis://127.0.0.1:1/0")
    with pytest.raises(RedisConnectionError):
        await rescuer.run(house.database, nobody)
    await nobody.aclose()
    assert (await house.delivery()).status == "retrying"


async def test_two_rescuers_at_the_same_time_ring_once(house: House) -> None:
    await bulk_due(house, 50)
    await house.plan()
    await house.queue.redis.flushdb()
    await make_old(house)
    both = await asyncio.gather(*(house.rescue() for _ in range(4)))
    assert sum(one.rung for one in both) == 50
    assert len(await house.rung()) == 50
    assert {row.enqueue_seq for row in await house.deliveries()} == {2}


async def test_two_rescuers_at_the_same_time_free_once(house: House) -> None:
    await house.plan_one()
    await kill_one(house)
    both = await asyncio.gather(*(house.rescue() for _ in range(4)))
    assert sum(one.freed for one in both) == 1
    assert (await house.delivery()).unknown_streak == 1


@pytest.mark.parametrize("late", ["start_by = now()", "start_by = now(), expires_at = now()"])
async def test_a_delivery_that_nobody_began_in_time_was_missed(house: House, late: str) -> None:
    await house.plan_one()
    await house.sql(f"UPDATE deliveries SET {late}")
    assert (await house.send()).status == "pending"
    assert (await house.rescue()).expired == 1
    row = await house.delivery()
    assert (row.status, row.reason) == ("missed", "grace_exceeded")
    assert row.finished_at is not None
    assert house.puppet.sent == []


async def test_a_delivery_tried_before_its_next_slot_has_failed(house: House) -> None:
    await house.plan_one()
    await kill_one(house)
    await house.sql("UPDATE deliveries SET expires_at = now()")
    assert await house.rescue() == Rescued(freed=1, expired=1, rung=0)
    row = await house.delivery()
    assert (row.status, row.reason) == ("failed", "next_slot_reached")


async def test_a_delivery_that_is_being_sent_at_its_next_slot_may_finish(house: House) -> None:
    async def slot_begins(_envelope: Envelope) -> Outcome:
        await house.sql("UPDATE deliveries SET expires_at = now()")
        assert await house.rescue() == NOTHING
        return Outcome.delivered()

    await house.plan_one()
    house.puppet.script.append(slot_begins)
    assert (await house.send()).status == "delivered"


async def test_ten_thousand_waiting_deliveries_are_rung_for_in_one_pass(house: House) -> None:
    await bulk_due(house, 100)
    await house.plan()
    await house.sql(
        "INSERT INTO deliveries (project_id, id, destination_id, trigger, scheduled_for, status, message_id,"
        " next_attempt_at, enqueued_at)"
        " SELECT project_id, gen_random_uuid(), destination_id, 'test', now(), 'pending', 'msg', now(),"
        " now() - interval '1 minute' FROM deliveries, generate_series(1, 100)"
    )
    assert (await house.rescue()).rung == 10_000
    assert (await house.rescue()).rung == 0


async def test_what_cannot_be_done_in_one_part_keeps_no_other_from_its_work(house: House) -> None:
    await bulk_due(house, 10)
    await house.plan()
    await house.queue.redis.flushdb()
    await make_old(house)
    await house.sql(
        "UPDATE deliveries SET status = 'sending', lease_token = gen_random_uuid(),"
        " lease_expires_at = now() - interval '1 second' WHERE id = :one",
        one=(await house.deliveries())[0].id,
    )
    await house.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$"
    )
    await house.sql(
        "CREATE TRIGGER refuse BEFORE UPDATE ON deliveries FOR EACH ROW WHEN (old.status = 'sending')"
        " EXECUTE FUNCTION refuse()"
    )
    progress = rescuer.Progress()
    with pytest.raises(DBAPIError):
        await rescuer.run(house.database, house.queue, progress)
    assert len(await house.rung()) == 9
    assert progress.away_at == float("-inf")  # that was no outage


async def test_answers_of_idempotency_keys_are_forgotten_after_a_day(house: House) -> None:
    await house.sql(
        "INSERT INTO idempotency_keys (project_id, key, fingerprint, created_at)"
        " VALUES (:p, 'old', '', now() - interval '25 hours'), (:p, 'new', '', now() - interval '23 hours')",
        p=PROJECT,
    )
    await rescuer.forget(house.database)
    assert [row.key for row in await house.sql("SELECT key FROM idempotency_keys")] == ["new"]


def test_the_patience_is_that_of_the_design() -> None:
    assert (rescue.RING_AGAIN_AFTER_SECONDS, rescue.MOST_UNKNOWN_IN_A_ROW) == (30, 3)
