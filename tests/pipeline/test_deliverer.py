"""A delivery is claimed, sent and recorded, and whatever goes wrong on the way is written down."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from notifier.channels.base import Channel
from notifier.channels.registry import Registry
from notifier.domain.delivery import AttemptOutcome, Envelope, Outcome, Reason
from notifier.pipeline import rescuer
from notifier.pipeline.bookkeeping import Bookkeeping
from notifier.pipeline.deliverer import Deliverer, Limits
from notifier.services import destinations, notifications, sending
from notifier.storage.encryption import Cipher
from tests.house import PROJECT, House, rows_of
from tests.servers import execute

FAILED = Outcome(AttemptOutcome.FAILED, 500, "HTTP 500")
GRID = {"kind": "interval", "every": "daily", "anchor": "grid"}


async def test_a_delivery_that_is_accepted_is_delivered_with_one_attempt(house: House) -> None:
    planned = await house.plan_one()
    done = await house.send()
    (attempt,) = await house.attempts()
    assert (done.status, done.reason, done.attempts_made) == ("delivered", None, 1)
    assert done.finished_at is not None
    assert (done.lease_token, done.lease_expires_at, done.next_attempt_at) == (None, None, None)
    assert (attempt.number, attempt.outcome, attempt.delivery_id) == (1, "delivered", planned.id)
    assert attempt.duration_ms >= 0


async def test_the_envelope_holds_all_that_a_channel_needs(house: House) -> None:
    data = {"who": "Ada"}
    planned = await house.plan_one(title="Hi {{ who }}", body="For {{ who }}", data=data, external_id="mine")
    await house.send()
    (envelope,) = house.puppet.sent
    assert (envelope.title, envelope.body, envelope.data) == ("Hi Ada", "For Ada", {"who": "Ada"})
    assert (envelope.external_id, envelope.notification_id) == ("mine", planned.notification_id)
    assert (envelope.message_id, envelope.attempt) == (planned.message_id, 1)
    assert (envelope.scheduled_for, envelope.config) == (planned.scheduled_for, {"name": "a"})
    assert envelope.late_by >= timedelta(seconds=1)
    (secret,) = envelope.secrets
    assert secret.startswith("whsec_")


async def test_no_transaction_is_open_while_a_message_is_sent(house: House) -> None:
    async def look(_envelope: Envelope) -> Outcome:
        (row,) = await house.sql(
            "SELECT count(*) AS busy FROM pg_stat_activity"
            " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
        )
        assert row.busy == 0
        assert (await house.delivery()).status == "sending"
        assert [one.outcome for one in await house.attempts()] == [None]
        return Outcome.delivered()

    await house.plan_one()
    house.puppet.script.append(look)
    assert (await house.send()).status == "delivered"


async def test_a_redundant_job_does_nothing(house: House) -> None:
    await house.plan_one()
    await house.send()
    await house.send()
    assert len(house.puppet.sent) == 1
    assert len(await house.attempts()) == 1


# --- the clock of the notification -------------------------------------------------------------------


async def test_a_delivered_slot_of_a_drifting_interval_moves_the_clock_to_its_delivery(house: House) -> None:
    await house.plan_one()
    done = await house.send()
    row = await house.notification(done.notification_id)
    assert row.last_delivered_at == done.finished_at
    assert row.next_due_at == done.finished_at + timedelta(hours=24)
    assert row.anchor_at == done.finished_at


async def test_a_delivered_slot_leaves_a_grid_where_it_is(house: House) -> None:
    planned = await house.plan_one(schedule=GRID)
    done = await house.send()
    row = await house.notification(done.notification_id)
    assert row.last_delivered_at == done.finished_at
    assert row.next_due_at == planned.scheduled_for + timedelta(hours=24)


async def test_a_failed_slot_is_followed_by_slot_plus_period(house: House) -> None:
    planned = await house.plan_one()
    house.puppet.script.append(Outcome.rejected(Reason.RECIPIENT_REJECTED, "no"))
    await house.send()
    row = await house.notification(planned.notification_id)
    assert row.last_delivered_at is None
    assert row.next_due_at == planned.scheduled_for + timedelta(hours=24)


async def test_a_manual_send_does_not_move_the_clock(house: House) -> None:
    row = await house.create()
    async with house.context() as ctx:
        await sending.send_now(ctx, str(row.id), reset_clock=False)
    done = await house.send()
    after = await house.notification(row.id)
    assert (after.next_due_at, after.anchor_at) == (row.next_due_at, row.anchor_at)
    assert after.last_delivered_at == done.finished_at


async def test_the_late_success_of_an_older_slot_does_not_move_the_clock_back(house: House) -> None:
    older = await house.plan_one()
    house.puppet.script.append(FAILED)
    await house.send(older)
    await house.make_due(older.notification_id, "0.5 seconds")
    await house.plan()
    planned = await house.notification(older.notification_id)
    await house.sql(
        "UPDATE deliveries SET next_attempt_at = now(), expires_at = NULL WHERE id = :id", id=older.id
    )
    assert (await house.send(older)).status == "delivered"
    after = await house.notification(older.notification_id)
    assert (after.next_due_at, after.anchor_at) == (planned.next_due_at, planned.anchor_at)
    assert after.last_delivered_at is not None


async def test_a_success_does_not_undo_an_edit_of_the_schedule(house: House) -> None:
    planned = await house.plan_one()
    start = (datetime.now(UTC) + timedelta(days=7)).replace(microsecond=0)
    async with house.context() as ctx:
        await notifications.update(
            ctx, str(planned.notification_id), {"start_at": start.isoformat()}, revision=None
        )
    assert (await house.send()).status == "delivered"
    assert (await house.notification(planned.notification_id)).next_due_at == start


async def test_a_success_after_an_edit_of_the_words_moves_the_clock(house: House) -> None:
    planned = await house.plan_one()
    async with house.context() as ctx:
        await notifications.update(ctx, str(planned.notification_id), {"title": "New"}, revision=None)
    done = await house.send()
    assert (await house.notification(done.notification_id)).next_due_at == done.finished_at + timedelta(
        hours=24
    )


async def test_a_clock_that_would_move_past_the_end_completes_the_notification(house: House) -> None:
    # slots at 0 h and 24 h, the end at 24 h: delivered 1 s late, the next would be due at 24 h + 1 s
    wanted = await house.create_due("1 second")
    await house.sql(
        "UPDATE notifications SET schedule = schedule"
        " || jsonb_build_object('end_at', next_due_at + interval '1 day') WHERE id = :id",
        id=wanted,
    )
    await house.sql("UPDATE notification_revisions AS r SET schedule = n.schedule FROM notifications AS n")
    await house.plan()
    assert (await house.notification(wanted)).status == "active"
    await house.send()
    row = await house.notification(wanted)
    assert (row.status, row.next_due_at) == ("completed", None)


async def test_of_two_destinations_that_finish_together_the_later_one_counts(house: House) -> None:
    for _ in range(5):
        wanted = await house.create_due(to=["puppet:a", "puppet:b"])
        await house.plan()
        rows = await house.sql("SELECT * FROM deliveries WHERE notification_id = :id", id=wanted)
        await asyncio.gather(*(house.send(row) for row in rows))
        row = await house.notification(wanted)
        assert row.next_due_at == row.last_delivered_at + timedelta(hours=24)
        latest = await house.one(
            "SELECT max(finished_at) AS at FROM deliveries WHERE notification_id = :id", id=wanted
        )
        assert row.last_delivered_at == latest.at


# --- failures ----------------------------------------------------------------------------------------


async def test_a_failure_is_tried_again_after_its_wait(house: House) -> None:
    await house.plan_one()
    house.puppet.script.append(FAILED)
    row = await house.send()
    (attempt,) = await house.attempts()
    assert (row.status, row.reason, row.finished_at, row.enqueued_at) == ("retrying", None, None, None)
    wait = row.next_attempt_at - attempt.started_at
    assert timedelta(seconds=4) <= wait <= timedelta(seconds=16)  # 5 s +- 20 %, and 10 s for a slow machine
    assert (attempt.outcome, attempt.status_code, attempt.error) == ("failed", 500, "HTTP 500")
    again = await house.send()
    assert again.attempts_made == 1  # not due yet


async def test_the_end_of_the_chain_is_failed_and_the_next_slot_stays_planned(house: House) -> None:
    planned = await house.plan_one()
    house.puppet.script.extend([FAILED] * 10)
    for _ in range(10):
        await house.sql(
            "UPDATE deliveries SET next_attempt_at = now(), expires_at = now() + interval '9 days'"
        )
        row = await house.send()
    assert (row.status, row.reason, row.attempts_made) == ("failed", "retries_exhausted", 10)
    assert row.next_attempt_at is None
    assert [one.number for one in await house.attempts()] == list(range(1, 11))
    assert len({one.message_id for one in house.puppet.sent}) == 1
    assert [one.attempt for one in house.puppet.sent] == list(range(1, 11))
    notification = await house.notification(planned.notification_id)
    assert (notification.status, notification.next_due_at) == ("active", planned.expires_at)


async def test_a_retry_that_would_meet_the_next_slot_is_given_up(house: House) -> None:
    await house.plan_one()
    await house.sql("UPDATE deliveries SET expires_at = now() + interval '3 seconds'")  # 5 s - 20 % = 4 s
    house.puppet.script.append(FAILED)
    row = await house.send()
    assert (row.status, row.reason) == ("failed", "next_slot_reached")


async def test_410_blocks_the_destination_and_holds_what_waits_for_it(house: House) -> None:
    for _ in range(2):
        await house.create_due(to=["puppet:gone", "puppet:other"])
    await house.plan()
    gone = await house.one("SELECT * FROM destinations WHERE name = 'gone'")
    first, second = [row for row in await house.deliveries() if row.destination_id == gone.id]
    house.puppet.script.append(Outcome.rejected(Reason.DESTINATION_GONE, "HTTP 410", 410))
    row = await house.send(first)
    assert (row.status, row.reason) == ("failed", "destination_gone")
    blocked = await house.one("SELECT * FROM destinations WHERE name = 'gone'")
    assert blocked.blocked_at is not None
    assert (await house.send(second)).status == "held"
    assert len(house.puppet.sent) == 1
    others = [row for row in await house.deliveries() if row.destination_id != gone.id]
    assert {(await house.send(row)).status for row in others} == {"delivered"}

    async with house.context() as ctx:
        await destinations.update(ctx, str(gone.id), {"status": "active"}, revision=None)
    assert (await house.send(second)).status == "delivered"


async def test_a_template_that_fails_is_a_reason_and_is_not_tried_again(house: House) -> None:
    await house.plan_one()
    await house.sql("UPDATE notification_revisions SET body = '{% broken'")
    row = await house.send()
    (attempt,) = await house.attempts()
    assert (row.status, row.reason, attempt.outcome) == ("failed", "template_error", "rejected")
    assert attempt.error
    assert house.puppet.sent == []


async def test_another_secret_key_is_a_reason_and_is_not_tried_again(house: House) -> None:
    planned = await house.plan_one()
    other = Deliverer(
        house.deliverer.books,
        house.runtime.channels,
        Cipher("another-key-that-did-not-encrypt-it"),
        house.deliverer.waits,
        house.deliverer.limits,
    )
    await other.deliver(planned.project_id, planned.id)
    row = await house.delivery()
    (attempt,) = await house.attempts()
    assert (row.status, row.reason) == ("failed", "decryption_error")
    assert "NOTIFIER_SECRET_KEY" in attempt.error
    assert house.puppet.sent == []


async def test_a_channel_that_raises_leaves_an_unknown_attempt_and_is_tried_again(house: House) -> None:
    await house.plan_one()
    house.puppet.script.append(RuntimeError("a bug"))
    row = await house.send()
    (attempt,) = await house.attempts()
    assert (row.status, attempt.outcome) == ("retrying", "unknown")
    assert "RuntimeError" in attempt.error
    await house.sql("UPDATE deliveries SET next_attempt_at = now()")
    assert (await house.send()).status == "delivered"


async def test_a_channel_that_hangs_past_its_lease_is_cut_off(house: House) -> None:
    async def hang(_envelope: Envelope) -> Outcome:
        await asyncio.Event().wait()
        return Outcome.delivered()

    planned = await house.plan_one()
    house.puppet.script.append(hang)
    await with_limits(house, lease=1, longest_send=0.1).deliver(planned.project_id, planned.id)
    assert (await house.delivery()).status == "retrying"
    assert [one.outcome for one in await house.attempts()] == ["unknown"]


async def test_an_error_text_that_no_database_takes_does_not_cost_the_outcome(house: House) -> None:
    await house.plan_one()
    house.puppet.script.append(Outcome(AttemptOutcome.FAILED, 500, "nul \x00 and lone \udc80 surrogate"))
    assert (await house.send()).status == "retrying"
    assert (await house.attempts())[0].error == "nul  and lone ? surrogate"


async def test_a_test_message_is_tried_once(house: House) -> None:
    async with house.context() as ctx:
        target, _secret = await destinations.create(
            ctx, kind="puppet", name=None, config={"name": "a"}, secret=None
        )
        await destinations.send_test(ctx, str(target.id))
    house.puppet.script.append(FAILED)
    row = await house.send()
    assert (row.status, row.reason, row.trigger) == ("failed", "retries_exhausted", "test")
    assert house.puppet.sent[0].notification_id is None


async def test_the_content_is_that_of_the_planned_revision(house: House) -> None:
    planned = await house.plan_one(title="Before", body="old")
    async with house.context() as ctx:
        await notifications.update(
            ctx, str(planned.notification_id), {"title": "After", "body": "new"}, revision=None
        )
    house.puppet.script.append(FAILED)
    await house.send()
    await house.sql("UPDATE deliveries SET next_attempt_at = now()")
    await house.send()
    assert [(one.title, one.body) for one in house.puppet.sent] == [("Before", "old")] * 2


# --- leases ------------------------------------------------------------------------------------------


def with_limits(
    house: House, *, lease: float = 75, longest_send: float = 30, recording: float = 225
) -> Deliverer:
    """Return a deliverer with other limits."""
    parts = house.deliverer
    limits = Limits(lease, longest_send, recording)
    books = Bookkeeping(house.database, lease=lease, window=0)
    return Deliverer(books, parts.channels, parts.cipher, parts.waits, limits)


async def break_lease(house: House) -> None:
    """Let the lease end and the rescuer find it."""
    await house.sql("UPDATE deliveries SET lease_expires_at = now() - interval '1 second'")
    assert (await house.rescue()).freed == 1


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


async def test_a_kind_that_is_not_installed_any_more_is_a_failed_attempt_and_is_tried_again(
    house: House,
) -> None:
    planned = await house.plan_one()
    none: list[Channel] = []
    parts = house.deliverer
    bare = Deliverer(
        parts.books, Registry(house.runtime.settings, none), parts.cipher, parts.waits, parts.limits
    )
    await bare.deliver(planned.project_id, planned.id)
    (attempt,) = await house.attempts()
    assert ((await house.delivery()).status, attempt.outcome) == ("retrying", "failed")


async def test_the_delivery_of_another_project_is_not_touched(house: House) -> None:
    planned = await house.plan_one()
    await house.deliverer.deliver(UUID(int=99), planned.id)
    assert (await house.delivery()).status == "pending"
    assert planned.project_id == PROJECT


# --- what changes while a message is being sent --------------------------------------------------------


forbidding_change = pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ("UPDATE notifications SET deleted_at = now()", "canceled", "notification_deleted"),
        ("UPDATE destinations SET deleted_at = now()", "canceled", "destination_deleted"),
        ("UPDATE destinations SET blocked_at = now(), blocked_reason = 'gone'", "held", None),
    ],
    ids=["notification deleted", "destination deleted", "destination blocked"],
)


@forbidding_change
async def test_what_was_deleted_or_blocked_while_it_was_sent_is_not_tried_again(
    house: House, change: str, status: str, reason: str | None
) -> None:
    await house.plan_one()

    async def changing(_envelope: Envelope) -> Outcome:
        await house.sql(change)
        return FAILED

    house.puppet.script.append(changing)
    row = await house.send()
    assert (row.status, row.reason, row.next_attempt_at) == (status, reason, None)
    assert (row.finished_at is None) == (status == "held")


@forbidding_change
async def test_what_began_to_wait_in_that_very_moment_is_not_sent_either(
    house: House, change: str, status: str, reason: str | None
) -> None:
    await house.plan_one()
    await house.sql(change)
    assert (await house.send()).status == "pending"
    assert house.puppet.sent == []
    await rescuer.run(house.database, house.queue)
    row = await house.delivery()
    assert (row.status, row.reason) == (status, reason)


async def test_lifting_a_block_releases_what_it_held_even_past_the_next_slot(house: House) -> None:
    planned = await house.plan_one()
    await house.sql("UPDATE destinations SET blocked_at = now(), blocked_reason = 'gone'")
    await rescuer.run(house.database, house.queue)
    await house.sql("UPDATE deliveries SET expires_at = now() - interval '1 hour'")
    async with house.context() as ctx:
        await destinations.update(ctx, str(planned.destination_id), {"status": "active"}, revision=None)
    await rescuer.run(house.database, house.queue)
    assert (await house.send()).status == "delivered"
