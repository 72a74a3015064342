"""A change of the zone data moves the slots to come of the zones it moves, and nothing else."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from notifier.domain import schedule
from notifier.pipeline import retimer
from notifier.services import notifications
from tests.house import House
from tests.pipeline.conftest import Begin
from tests.pipeline.timeline import shown

BERLIN = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "Europe/Berlin"}
HOUR = timedelta(hours=1)


async def by_older_data(house: House, wanted: Any, shift: timedelta) -> datetime:
    """Have a notification timed as by zone data whose offset differs; return when it was truly due."""
    due: datetime = (await house.notification(wanted)).next_due_at
    await house.sql(
        "UPDATE notifications SET tz_version = '2001a', next_due_at = :at WHERE id = :id",
        id=wanted,
        at=due + shift,
    )
    return due


@pytest.mark.parametrize("shift", [HOUR, -HOUR, timedelta(0)], ids=str)
@pytest.mark.parametrize(
    "rule",
    [
        BERLIN,
        {"kind": "cron", "expression": "0 9 * * 1", "timezone": "Europe/Berlin"},
        {"kind": "rrule", "rrule": "FREQ=DAILY", "dtstart": "2026-01-01T09:00", "timezone": "Europe/Berlin"},
        {"kind": "once", "at": "2190-01-01T09:00", "timezone": "Europe/Berlin"},
    ],
    ids=lambda rule: rule["kind"],
)
async def test_slots_to_come_are_worked_out_again(begin: Begin, rule: Any, shift: timedelta) -> None:
    timeline = await begin("2027-01-10T12:00")
    wanted = await timeline.create(rule)
    database = timeline.house.database
    truly = await by_older_data(timeline.house, UUID(wanted), shift)
    assert await retimer.run(database) == (shift != timedelta(0))
    row = await timeline.notification(wanted)
    assert (row.next_due_at, row.tz_version, row.revision) == (truly, schedule.zones.version(), 1)
    assert await retimer.run(database) == 0


async def test_intervals_and_notifications_of_this_data_are_left_alone(house: House) -> None:
    interval, current = (await house.create()).id, (await house.create(schedule=BERLIN)).id
    due = {}
    for wanted in (interval, current):
        await house.sql(
            "UPDATE notifications SET next_due_at = next_due_at + '1 hour' WHERE id = :id", id=wanted
        )
        due[wanted] = (await house.notification(wanted)).next_due_at
    assert (await house.notification(interval)).tz_version is None
    assert await retimer.run(house.database) == 0
    assert {wanted: (await house.notification(wanted)).next_due_at for wanted in due} == due


async def test_a_slot_that_has_come_due_stays(house: House) -> None:
    wanted = await house.create_due("10 minutes", schedule=BERLIN)
    truly = await by_older_data(house, wanted, timedelta(0))
    assert await retimer.run(house.database) == 0
    row = await house.notification(wanted)
    assert (row.next_due_at, row.tz_version) == (truly, schedule.zones.version())


async def test_the_paused_are_retimed_and_the_deleted_are_not(house: House) -> None:
    paused, deleted = [(await house.create(schedule=BERLIN)).id for _ in range(2)]
    truly = await by_older_data(house, paused, HOUR)
    await by_older_data(house, deleted, HOUR)
    await house.sql("UPDATE notifications SET paused_at = now() WHERE id = :id", id=paused)
    await house.sql("UPDATE notifications SET deleted_at = now() WHERE id = :id", id=deleted)
    assert await retimer.run(house.database) == 1
    assert (await house.notification(paused)).next_due_at == truly
    assert (await house.notification(deleted)).tz_version == "2001a"


async def test_more_than_a_batch_is_retimed_and_what_cannot_be_does_not_keep_the_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retimer, "BATCH", 3)
    made = [(await house.create(schedule=BERLIN)).id for _ in range(8)]
    truly = {wanted: await by_older_data(house, wanted, HOUR) for wanted in made}
    broken = made[3]
    await house.sql("UPDATE notifications SET schedule = '{}' WHERE id = :id", id=broken)
    assert await retimer.run(house.database) == 7
    for wanted in made:
        expected = truly[wanted] + (HOUR if wanted == broken else timedelta(0))
        assert (await house.notification(wanted)).next_due_at == expected


async def test_test_projects_go_by_their_own_clock_and_an_edit_keeps_its_date(begin: Begin) -> None:
    timeline = await begin("2020-01-01T12:00")
    wanted = await timeline.create(BERLIN)
    await timeline.advance("2020-01-02T12:00")
    # the 2nd had its message: the new time counts from the 3rd on, 15:00 - 1 h
    async with timeline.context() as ctx:
        await notifications.update(ctx, wanted, {"schedule": {**BERLIN, "times": ["15:00"]}}, revision=None)
    truly = await by_older_data(timeline.house, UUID(wanted), HOUR)
    assert shown(truly) == "2020-01-03T14:00"
    assert await retimer.run(timeline.house.database) == 1
    assert (await timeline.notification(wanted)).next_due_at == truly
