"""History goes when it is old enough; what is open stays, and nobody waits for it."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row, text
from sqlalchemy.exc import IntegrityError

from notifier import worker
from notifier.clock import id_of_age
from notifier.pipeline import retention
from notifier.pipeline.retention import Removed
from notifier.services import notifications as services
from notifier.services import replaying
from notifier.storage import retention as storage
from notifier.storage.retention import Limit
from notifier.storage.tables import LIVE
from tests.house import PROJECT, House
from tests.pipeline.conftest import Begin

DAYS = 90
OPEN = ("pending", "sending", "retrying", "held", "unknown")
ENDED = ("delivered", "failed", "skipped", "missed", "canceled")
# A copy of the only delivery that was made and ended so many days ago, with its attempts.
COPY = """
WITH copied AS (
  INSERT INTO deliveries (
    project_id, id, notification_id, revision, destination_id, clock, trigger, scheduled_for, status,
    message_id, attempts_made, next_attempt_at, lease_token, lease_expires_at, finished_at)
  SELECT project_id, :id, notification_id, revision, destination_id, CAST(:clock AS uuid), trigger,
    scheduled_for - make_interval(secs => :nth), :status, message_id, attempts_made,
    CASE WHEN :status IN ('pending', 'sending', 'retrying') THEN now() + interval '1 hour' END,
    CASE WHEN :status = 'sending' THEN id END,
    CASE WHEN :status = 'sending' THEN now() + interval '1 hour' END,
    CASE WHEN :has_ended THEN now() - make_interval(days => :ended_days_ago) END
  FROM deliveries WHERE id = :first
  RETURNING project_id, id
)
INSERT INTO attempts (project_id, delivery_id, number, started_at)
SELECT copied.project_id, copied.id, number, started_at FROM copied, attempts WHERE delivery_id = :first
"""


class Ledger:
    """One delivery of today, and copies of it from days long ago."""

    def __init__(self, house: House, first: Row[Any]) -> None:
        self.house = house
        self.first = first
        self._made = 0

    async def add(
        self, days: float, status: str = "delivered", ended: float | None = None, clock: UUID = LIVE
    ) -> UUID:
        """Add a delivery made `days` ago, which ended then, or `ended` days ago."""
        self._made += 1
        made = UUID(int=id_of_age(days * 86400).int + self._made)
        await self.house.sql(
            text(COPY).text,
            id=made,
            nth=float(self._made),
            clock=str(clock),
            status=status,
            first=self.first.id,
            has_ended=status in ENDED,
            ended_days_ago=int(days if ended is None else ended),
        )
        return made

    async def left(self) -> set[UUID]:
        """Return the ids of the deliveries that are left, the one of today aside."""
        return {row.id for row in await self.house.deliveries()} - {self.first.id}


async def begin_ledger(house: House) -> Ledger:
    return Ledger(house, await house.send(await house.plan_one()))


async def retain(house: House, batch: int = 1000) -> Removed:
    return await retention.run(house.database, DAYS, batch=batch, rest=0)


@pytest.mark.parametrize("status", ENDED)
async def test_what_ended_long_ago_goes_with_its_attempts(house: House, status: str) -> None:
    ledger = await begin_ledger(house)
    await ledger.add(91, status)
    kept = await ledger.add(89, status)
    assert (await retain(house)).deliveries == 1
    assert await ledger.left() == {kept}
    assert {one.delivery_id for one in await house.attempts()} == {kept, ledger.first.id}


@pytest.mark.parametrize("status", OPEN)
async def test_what_is_open_stays_however_old_it_is(house: House, status: str) -> None:
    ledger = await begin_ledger(house)
    kept = await ledger.add(1000, status)
    assert (await retain(house)).deliveries == 0
    assert await ledger.left() == {kept}


async def test_what_ended_of_late_stays_however_long_it_waited(house: House) -> None:
    ledger = await begin_ledger(house)
    kept = await ledger.add(1000, "delivered", ended=1)
    await retain(house)
    assert await ledger.left() == {kept}


async def test_of_a_test_project_what_was_made_long_ago_goes_whatever_its_clock_says(house: House) -> None:
    ledger = await begin_ledger(house)
    clock = UUID(int=7)
    await ledger.add(91, ended=-3000, clock=clock)
    kept = await ledger.add(1, ended=3000, clock=clock)
    await retain(house)
    assert await ledger.left() == {kept}


async def test_many_go_in_batches_and_open_ones_between_them_are_stepped_over(house: House) -> None:
    ledger = await begin_ledger(house)
    kept = set()
    for days in range(110, 91, -1):
        made = await ledger.add(days, "held" if days % 5 == 0 else "delivered")
        kept |= {made} if days % 5 == 0 else set()
    assert (await retain(house, batch=4)).deliveries == 15
    assert await ledger.left() == kept


async def test_a_batch_is_bounded_and_passes_over_what_another_holds(house: House) -> None:
    ledger = await begin_ledger(house)
    oldest, second, third, fourth = [await ledger.add(days) for days in (98, 97, 96, 95)]
    limit = Limit(DAYS, id_of_age(DAYS * 86400))
    async with house.database.transaction() as other, house.database.transaction() as session:
        await other.execute(text("SELECT 1 FROM deliveries WHERE id = :id FOR UPDATE"), {"id": oldest})
        gone = await storage.delete_deliveries(session, PROJECT, limit, after=UUID(int=0), batch=2)
    assert gone == [second, third]
    assert await ledger.left() == {oldest, fourth}


async def test_neither_planning_nor_sending_waits_for_an_open_batch(house: House) -> None:
    ledger = await begin_ledger(house)
    await ledger.add(95)
    held = await ledger.add(94, "pending")
    await house.sql("UPDATE deliveries SET next_attempt_at = now() WHERE id = :id", id=held)
    limit = Limit(DAYS, id_of_age(DAYS * 86400))
    # whoever waited for a lock would get an error after five seconds
    async with house.database.transaction() as session:
        await storage.delete_deliveries(session, PROJECT, limit, after=UUID(int=0), batch=10)
        await house.make_due(ledger.first.notification_id, "1 second")
        assert await house.plan() == 1
        waiting = await house.one("SELECT * FROM deliveries WHERE id = :id", id=held)
        assert (await house.send(waiting)).status == "delivered"


async def test_a_slot_whose_row_has_gone_is_not_planned_again(house: House) -> None:
    ledger = await begin_ledger(house)
    await ledger.add(91)
    before = await house.notification(ledger.first.notification_id)
    await retain(house)
    assert await house.plan() == 0
    async with house.context() as ctx:
        again = await services.update(ctx, str(before.id), {"schedule": "weekly"}, revision=None)
    assert again.row.next_due_at > before.last_slot_at
    assert await house.plan() == 0


async def edit(house: House, notification_id: UUID, title: str) -> None:
    async with house.context() as ctx:
        await services.update(ctx, str(notification_id), {"title": title}, revision=None)


async def revisions(house: House) -> list[int]:
    rows = await house.sql("SELECT revision FROM notification_revisions ORDER BY revision")
    return [row.revision for row in rows]


async def age_revisions(house: House, days: int) -> None:
    await house.sql(
        "UPDATE notification_revisions SET created_at = created_at - make_interval(days => :days),"
        " replaced_at = replaced_at - make_interval(days => :days)",
        days=days,
    )


async def test_words_that_were_replaced_go_when_no_delivery_is_known_by_them(house: House) -> None:
    ledger = await begin_ledger(house)
    wanted = ledger.first.notification_id
    for title in ("two", "three", "four"):
        await edit(house, wanted, title)
    await age_revisions(house, DAYS + 1)
    await edit(house, wanted, "five")
    assert (await retain(house)).revisions == 2
    # one has a delivery, four was in force until just now, five is
    assert await revisions(house) == [1, 4, 5]


async def test_words_that_a_replay_is_about_to_repeat_stay(house: House) -> None:
    ledger = await begin_ledger(house)
    old = await ledger.add(DAYS + 1, "failed")
    await edit(house, ledger.first.notification_id, "two")
    await age_revisions(house, DAYS + 1)
    await house.sql("UPDATE deliveries SET revision = 2 WHERE id = :id", id=ledger.first.id)
    async with house.context() as ctx:
        await replaying.replay(ctx, str(old), as_new=False)
        assert await retain(house) == Removed(1, 0, 0, 0)
    assert await revisions(house) == [1, 2]
    assert await retain(house) == Removed(0, 0, 0, 0)


@pytest.mark.parametrize("table", ["destinations", "notification_revisions"])
async def test_nobody_can_delete_what_a_delivery_was_made_from(house: House, table: str) -> None:
    await begin_ledger(house)
    for used in ("event_subscriptions", "notification_destinations"):
        await house.sql(f"DELETE FROM {used}")
    with pytest.raises(IntegrityError, match="a delivery refers to this row"):
        await house.sql(f"DELETE FROM {table}")
    await house.sql("DELETE FROM deliveries")
    await house.sql(f"DELETE FROM {table}")


async def test_the_words_in_force_stay_however_old_they_are(house: House) -> None:
    await house.create()
    await age_revisions(house, 10 * DAYS)
    assert await retain(house) == Removed(0, 0, 0, 0)
    assert await revisions(house) == [1]


ADD_EXCEPTION = """
INSERT INTO notification_exceptions
  (project_id, id, notification_id, slot_at, action, move_to, planned_at, deleted_at)
SELECT n.project_id, gen_random_uuid(), n.id, now() - make_interval(days => CAST(:slot AS int)),
  CASE WHEN CAST(:moved AS int) IS NULL THEN 'skip' ELSE 'move' END,
  now() - make_interval(days => CAST(:moved AS int)),
  CASE WHEN :planned THEN now() END,
  now() - make_interval(days => CAST(:deleted AS int))
FROM notifications AS n
"""


@pytest.mark.parametrize(
    ("slot", "moved", "planned", "deleted", "goes"),
    [
        (91, None, False, None, True),
        (89, None, False, None, False),
        (-1, None, False, None, False),
        (99, 91, True, None, True),
        (99, 89, True, None, False),
        (99, 91, False, None, False),  # still to be planned
        (99, -9, False, None, False),
        (99, 91, False, 91, True),  # taken back
        (99, None, False, 89, True),
        (-9, None, False, 91, False),
    ],
)
async def test_an_exception_goes_when_its_slot_has_passed(
    house: House, slot: int, moved: int | None, planned: bool, deleted: int | None, goes: bool
) -> None:
    await house.create()
    values = {"slot": slot, "moved": moved, "planned": planned, "deleted": deleted}
    await house.sql(ADD_EXCEPTION, **values)
    assert (await retain(house)).exceptions == goes


@pytest.mark.parametrize(
    "keeps",
    [
        "UPDATE notifications SET next_due_at = now() - interval '100 days'",
        "UPDATE deliveries SET exception_id = (SELECT id FROM notification_exceptions)",
    ],
    ids=["its slot has not been planned", "a delivery has its words"],
)
async def test_an_exception_that_still_counts_stays(house: House, keeps: str) -> None:
    await begin_ledger(house)
    await house.sql(ADD_EXCEPTION, slot=99, moved=None, planned=False, deleted=None)
    await house.sql(keeps)
    assert (await retain(house)).exceptions == 0


async def deleted(house: House, days: int) -> UUID:
    """Return the id of a notification that was deleted so many days ago."""
    row = await house.create()
    async with house.context() as ctx:
        await services.delete(ctx, str(row.id), revision=None)
    await house.sql(
        "UPDATE notifications SET deleted_at = deleted_at - make_interval(days => :days) WHERE id = :id",
        days=days,
        id=row.id,
    )
    return UUID(str(row.id))


async def test_a_deleted_notification_goes_with_all_it_had(house: House) -> None:
    await deleted(house, DAYS + 1)
    kept = await deleted(house, DAYS - 1)
    assert (await retain(house)).notifications == 1
    for table, key in (
        ("notifications", "id"),
        ("notification_revisions", "notification_id"),
        ("notification_destinations", "notification_id"),
    ):
        assert {row[0] for row in await house.sql(f"SELECT {key} FROM {table}")} == {kept}


async def test_a_deleted_notification_stays_as_long_as_it_has_history(house: House) -> None:
    ledger = await begin_ledger(house)
    wanted = ledger.first.notification_id
    await house.sql("UPDATE notifications SET deleted_at = now() - interval '91 days'")
    assert (await retain(house)).notifications == 0
    await house.sql("DELETE FROM deliveries")
    assert (await retain(house)).notifications == 1
    assert await house.sql("SELECT 1 FROM notifications WHERE id = :id", id=wanted) == []


async def test_a_notification_deleted_on_a_test_clock_goes_by_its_age(house: House, begin: Begin) -> None:
    timeline = await begin("1999-01-01T12:00")
    wanted = await timeline.create("daily")
    async with timeline.context() as ctx:
        await services.delete(ctx, wanted, revision=None)
    assert (await retain(house)).notifications == 0
    assert (await retention.run(house.database, 0, rest=0)).notifications == 1


@pytest.mark.parametrize(("days", "left"), [(0, 1), (30, 0), (60, 1)])
async def test_the_setting_says_for_how_long_and_zero_is_for_ever(house: House, days: int, left: int) -> None:
    ledger = await begin_ledger(house)
    await ledger.add(50)
    settings = house.runtime.settings.model_copy(update={"retention_days": days})
    await worker.retain({"runtime": replace(house.runtime, settings=settings)})
    assert len(await ledger.left()) == left
