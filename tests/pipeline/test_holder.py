"""After a long silence overdue slots wait for a decision, whichever scheduler finds them."""

import pytest

from notifier.pipeline import holder, planner
from tests.house import House, bulk_due
from tests.house import settings as make_settings

DAY = 86_400.0


async def fall_silent(house: House, days: int = 3) -> None:
    """Let the last sign of life be so old."""
    await house.plan()
    await house.sql(
        "UPDATE heartbeats SET beat_at = now() - CAST(:days AS int) * interval '1 day'", days=days
    )


async def sweep(house: House, silence: float | None = DAY) -> None:
    """Do what a scheduler does at its start."""
    before = await holder.hold_before(house.database, silence)
    await planner.sweep(house.database, house.queue, batch=2, hold_before=before)


async def statuses(house: House) -> list[tuple[str, str | None]]:
    return [(row.status, row.reason) for row in await house.deliveries()]


async def test_overdue_slots_are_held_and_fresh_ones_are_sent(house: House) -> None:
    await fall_silent(house)
    overdue = await house.create_due("2 hours")
    before = await holder.hold_before(house.database, DAY)
    fresh = await house.create_due("0 seconds")
    await planner.sweep(house.database, house.queue, batch=10, hold_before=before)
    rows = {row.notification_id: row for row in await house.deliveries()}
    held, sent = rows[overdue], rows[fresh]
    assert (held.status, held.reason, held.start_by or held.expires_at, held.next_attempt_at) == (
        "held",
        "overdue",
        None,
        None,
    )
    assert (sent.status, sent.reason) == ("pending", None)
    assert len(await house.rung()) == 1


async def test_a_short_silence_holds_nothing(house: House) -> None:
    await fall_silent(house, days=0)
    await house.create_due("2 hours")
    await sweep(house)
    assert await statuses(house) == [("pending", None)]


async def test_the_first_start_ever_holds_nothing(house: House) -> None:
    await house.create_due("2 hours")
    await sweep(house)
    assert await statuses(house) == [("pending", None)]


async def test_where_it_is_off_nothing_is_held(house: House) -> None:
    await fall_silent(house)
    await house.create_due("2 hours")
    await sweep(house, silence=None)
    assert await statuses(house) == [("pending", None)]


def test_deployments_hold_after_a_day_and_the_embedded_mode_never() -> None:
    url = "postgresql://somewhere/x"
    assert make_settings(url, "redis://x").hold_after == DAY
    assert make_settings(url, "redis://x", environment="embedded").hold_after is None
    assert make_settings(url, "redis://x", hold_overdue_after=0).hold_after is None
    assert make_settings(url, "redis://x", environment="embedded", hold_overdue_after=60).hold_after == 60


async def test_a_second_scheduler_holds_the_same_slots(house: House) -> None:
    await fall_silent(house)
    await bulk_due(house, 5, ago="2 hours")
    first = await holder.hold_before(house.database, DAY)
    # the other one starts when the first has shown that it is alive, and before it has planned anything
    second = await holder.hold_before(house.database, DAY)
    assert first == second is not None
    await planner.sweep(house.database, house.queue, batch=2, hold_before=second)
    assert await statuses(house) == [("held", "overdue")] * 5


async def test_what_waited_before_the_silence_is_held_unless_its_time_is_over(house: House) -> None:
    await bulk_due(house, 3)
    await house.plan()
    waiting, over, manual = await house.deliveries()
    await house.sql("UPDATE deliveries SET start_by = now() WHERE id = :id", id=over.id)
    await house.sql("UPDATE deliveries SET trigger = 'manual' WHERE id = :id", id=manual.id)
    await fall_silent(house)
    await sweep(house)
    await house.rescue()
    found = {row.id: (row.status, row.reason) for row in await house.deliveries()}
    assert found == {
        waiting.id: ("held", "overdue"),
        over.id: ("missed", "grace_exceeded"),
        manual.id: ("pending", None),
    }


async def test_however_much_waited_before_the_silence_is_held(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holder, "BATCH", 2)
    await bulk_due(house, 5)
    await house.plan()
    await house.sql(
        "UPDATE deliveries SET trigger = 'manual' WHERE id = :id", id=(await house.deliveries())[1].id
    )
    await fall_silent(house)
    await sweep(house)
    assert sorted(await statuses(house), key=str) == [("held", "overdue")] * 4 + [("pending", None)]


@pytest.mark.parametrize("scheduler_is_back", [False, True])
async def test_who_edits_after_a_long_silence_sends_no_overdue_slot(
    house: House, scheduler_is_back: bool
) -> None:
    await fall_silent(house)
    overdue = await house.create_due("2 hours")
    if scheduler_is_back:
        await holder.hold_before(house.database, DAY)
    async with house.context() as ctx:
        await ctx.settle(ctx.session, ctx.project_id, overdue)
    assert await statuses(house) == [("held", "overdue")]
    assert await house.rung() == []
