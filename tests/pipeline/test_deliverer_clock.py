"""What the end of a delivery does to the clock of its notification."""

import asyncio
from datetime import UTC, datetime, timedelta

from notifier.domain.delivery import AttemptOutcome, Outcome, Reason
from notifier.services import notifications, sending
from tests.house import House

FAILED = Outcome(AttemptOutcome.FAILED, 500, "HTTP 500")
GRID = {"kind": "interval", "every": "daily", "anchor": "grid"}


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
