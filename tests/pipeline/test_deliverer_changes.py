"""What is deleted, blocked or given free while a message is on its way."""

import pytest

from notifier.domain.delivery import AttemptOutcome, Envelope, Outcome
from notifier.pipeline import rescuer
from notifier.services import destinations
from tests.house import House

FAILED = Outcome(AttemptOutcome.FAILED, 500, "HTTP 500")

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
    await house.sql("UPDATE deliveries SET start_by = now(), expires_at = now()")
    async with house.context() as ctx:
        await destinations.update(ctx, str(planned.destination_id), {"status": "active"}, revision=None)
    await rescuer.run(house.database, house.queue)
    assert (await house.send()).status == "delivered"
