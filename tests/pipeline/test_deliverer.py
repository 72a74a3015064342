"""A delivery is claimed, sent and recorded, and whatever goes wrong on the way is written down."""

from datetime import timedelta
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from notifier.channels.base import Channel
from notifier.channels.registry import Registry
from notifier.domain.delivery import AttemptOutcome, Envelope, Outcome, Reason
from notifier.pipeline.deliverer import Deliverer
from notifier.services import destinations, notifications
from notifier.storage.encryption import Cipher
from tests.house import PROJECT, House

FAILED = Outcome(AttemptOutcome.FAILED, 500, "HTTP 500")


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


async def test_the_line_of_an_attempt_says_what_it_is_about_and_where_it_goes(house: House) -> None:
    await house.plan_one(title="Hi {{ who }}", data={"who": "Ada"}, external_id="mine")
    with capture_logs() as lines:
        await house.send()
    (line,) = [one for one in lines if one["event"] == "delivery.attempted"]
    told = {name: line[name] for name in ("title", "external_id", "destination_name", "trigger")}
    assert told == {
        "title": "Hi {{ who }}",
        "external_id": "mine",
        "destination_name": "a",
        "trigger": "schedule",
    }


async def test_a_redundant_job_does_nothing(house: House) -> None:
    await house.plan_one()
    await house.send()
    await house.send()
    assert len(house.puppet.sent) == 1
    assert len(await house.attempts()) == 1


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
    assert [one.last for one in house.puppet.sent] == [False] * 9 + [True]
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
    assert (house.puppet.sent[0].notification_id, house.puppet.sent[0].last) == (None, True)


@pytest.mark.parametrize(("until_next", "last"), [("1 hour", False), ("10 seconds", True)])
async def test_a_try_after_which_the_next_slot_may_come_first_knows_that_it_is_the_last(
    house: House, until_next: str, last: bool
) -> None:
    await house.plan_one()
    await house.sql(f"UPDATE deliveries SET expires_at = now() + interval '{until_next}'")
    await house.send()
    assert [one.last for one in house.puppet.sent] == [last]


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
