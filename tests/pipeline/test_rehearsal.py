"""The clock of a test project: the real engine run forward, and nothing of it meets the live one."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from notifier.domain.errors import Conflict
from notifier.pipeline import rehearsal
from notifier.pipeline.rescuer import Rescued
from notifier.services import pausing
from tests.house import House
from tests.pipeline.conftest import Begin
from tests.pipeline.timeline import Line, Timeline, shown, utc

DAY = timedelta(days=1)
START, END = utc("2027-01-01T00:00"), utc("2028-01-02T00:00")  # 366 days
PAUSED, RESUMED = utc("2027-06-01T12:00"), utc("2027-06-11T12:00")
DOWN, UP = utc("2027-08-01T12:00"), utc("2027-08-04T12:00")


def walls(zone: str, at: str) -> list[datetime]:
    """Return the instants of a local time of every date, by the standard library alone.

    A time in a gap is read with the offset before it, a repeated one counts the first time: that is what
    fold=0 means.
    """
    days = (date(2026, 12, 31) + n * DAY for n in range(369))
    found = (datetime.combine(day, time.fromisoformat(at), ZoneInfo(zone)).astimezone(UTC) for day in days)
    return [slot for slot in found if START < slot <= END]


def lines(slots: Iterable[datetime], *, paused: bool = False) -> list[Line]:
    """Return the ledger of slots: after the downtime, the newest is sent and the others are missed."""
    slots = list(slots)
    inside = [slot for slot in slots if DOWN < slot <= UP]
    fates = dict.fromkeys(inside[:-1], "missed(coalesced)")
    skipped = [slot for slot in slots if paused and PAUSED < slot <= RESUMED]
    for slot in skipped:
        fates[slot] = f"skipped(paused) x{len(skipped)} to {shown(RESUMED)}"
    return [(shown(slot) or "", fates.get(slot, "delivered")) for slot in slots if slot not in skipped[1:]]


def grid(first: datetime, period: timedelta = DAY) -> list[datetime]:
    return [first + n * period for n in range((END - first) // period + 1)]


def calendar(zone: str, at: str) -> dict[str, object]:
    return {"kind": "calendar", "frequency": "daily", "times": [at], "timezone": zone}


async def ledger_of(timeline: Timeline, wanted: str) -> list[Line]:
    found = zip(await timeline.rows(), await timeline.ledger(), strict=True)
    return [line for row, line in found if str(row.notification_id) == wanted]


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_year_over_all_changes_of_the_clocks_gives_the_exact_ledger(begin: Begin) -> None:
    timeline = await begin("2027-01-01T00:00")
    berlin, new_york = "Europe/Berlin", "America/New_York"
    expected: dict[str, list[Line]] = {}
    for zone, at in ((berlin, "09:00"), (new_york, "02:30"), (new_york, "09:00")):
        expected[await timeline.create(calendar(zone, at))] = lines(walls(zone, at))
    paused = await timeline.create(calendar(berlin, "02:30"))
    expected[paused] = lines(walls(berlin, "02:30"), paused=True)
    daily = {"kind": "interval", "every": "daily"}
    expected[await timeline.create({**daily, "anchor": "grid"})] = lines(grid(START + DAY))
    # what was sent late, at 12:00 of the 4th of August, moves the clock of an interval that drifts
    drifted = [slot for slot in grid(START + DAY) if slot <= UP] + grid(UP + DAY)
    expected[await timeline.create(daily)] = lines(drifted)

    # a slow machine needs more calls than one for it
    messages = await timeline.arrive("2027-06-01T12:00")
    async with timeline.context() as ctx:
        await pausing.pause(ctx, paused, {"until": RESUMED})
    messages += await timeline.arrive("2027-08-01T12:00")
    await timeline.advance("2027-08-04T12:00", down=True)
    messages += await timeline.arrive("2028-01-02T00:00")

    for wanted, ledger in expected.items():
        assert await ledger_of(timeline, wanted) == ledger
    by_id = {row.id: row for row in await timeline.rows()}
    late = [one for one in messages if one.late_by]
    assert {one.sent_at for one in late} == {UP}
    assert len(late) == len(expected)
    assert all(by_id[one.delivery_id].status == "delivered" for one in messages)


async def test_lines_of_a_rehearsal_say_that_they_are_of_one(begin: Begin) -> None:
    timeline = await begin("2027-01-01T00:00")
    await timeline.create("daily")
    with capture_logs([merge_contextvars]) as logged:
        assert len(await timeline.arrive("2027-01-04T00:00")) == 3
    attempts = [line for line in logged if line["event"] == "delivery.attempted"]
    assert [line["rehearsal"] for line in attempts] == [True] * 3


async def test_live_sweeps_leave_test_projects_alone_and_theirs_the_live_ones(
    house: House, begin: Begin
) -> None:
    timeline = await begin("2020-01-01T00:00")
    await timeline.create("daily")
    await timeline.set_clock("2020-01-03T00:00")  # due by either clock
    assert await house.plan() == 0
    await house.create_due()
    timeline.now = utc("2100-01-01T00:00")
    assert await timeline.sweep() == 1
    assert {row.project_id for row in await house.deliveries()} == {timeline.project_id}
    assert await house.plan() == 1


async def test_a_live_worker_sends_nothing_of_a_test_project_even_if_it_is_rung_for(
    house: House, begin: Begin
) -> None:
    timeline = await begin("2020-01-01T00:00")
    await timeline.create("daily")
    await timeline.sweep("2020-01-02T00:00")
    assert await house.rung() == []
    (row,) = await timeline.rows()
    assert (await house.send(row)).status == "pending"
    assert house.puppet.sent == []


@pytest.mark.parametrize(
    "state",
    [
        "enqueued_at = NULL",
        "start_by = now() - interval '1 day'",
        "status = 'sending', lease_token = gen_random_uuid(), lease_expires_at = now() - interval '1 day'",
    ],
    ids=["unrung", "expired", "stuck"],
)
async def test_the_live_rescuer_leaves_test_projects_alone(house: House, begin: Begin, state: str) -> None:
    timeline = await begin("2020-01-01T00:00")
    await timeline.create("daily")
    await timeline.sweep("2020-01-02T00:00")
    await house.sql(f"UPDATE deliveries SET {state}")
    before = await timeline.rows()
    assert await house.rescue() == Rescued(0, 0, 0)
    assert await timeline.rows() == before


async def test_a_call_that_was_killed_is_made_up_for_by_the_next_one(begin: Begin) -> None:
    timeline = await begin("2027-01-01T00:00")
    await timeline.create("daily")
    await timeline.sweep("2027-01-02T00:00")
    await timeline.sql(
        "UPDATE deliveries SET status = 'sending', attempts_made = 1,"
        " first_attempt_at = clock_now(), lease_token = gen_random_uuid(),"
        " lease_expires_at = clock_now() + interval '75 seconds'"
    )
    await timeline.advance("2027-01-02T01:00")
    assert await timeline.ledger() == [("2027-01-02T00:00", "delivered")]


async def test_of_two_calls_at_once_one_is_told_so(begin: Begin) -> None:
    timeline = await begin("2027-01-01T00:00")
    await timeline.create("daily")
    stale = timeline.now
    await timeline.advance("2027-01-03T00:00")
    timeline.now = stale
    with pytest.raises(Conflict):
        await timeline.advance("2027-01-05T00:00")


@pytest.mark.parametrize("limit", ["MOST_MESSAGES", "MOST_EVENTS"])
async def test_a_very_long_way_is_gone_in_several_calls(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(rehearsal, limit, 3)
    timeline = await begin("2027-01-01T00:00")
    await timeline.create("daily")
    first = await timeline.advance("2027-01-06T00:00")
    assert (first.complete, shown(first.now), len(first.messages)) == (False, "2027-01-04T00:00", 3)
    second = await timeline.advance("2027-01-06T00:00")
    assert (second.complete, shown(second.now), len(second.messages)) == (True, "2027-01-06T00:00", 2)


async def test_a_rehearsal_leaves_no_sign_of_life_and_rings_for_nobody(house: House, begin: Begin) -> None:
    timeline = await begin("2027-01-01T00:00")
    await timeline.create("daily")
    await timeline.advance("2027-01-10T00:00")
    assert await house.sql("SELECT 1 FROM heartbeats") == []
    assert await house.rung() == []
    assert house.puppet.sent == []


async def test_the_deliveries_of_a_rehearsal_do_not_wait_for_company(house: House, begin: Begin) -> None:
    for_ever = 3600.0
    house.deliverer = replace(house.deliverer, window=for_ever)
    timeline = await begin("2027-01-01T00:00")
    await timeline.create("daily")
    async with asyncio.timeout(60):
        await timeline.advance("2027-01-04T00:00")
    assert [how for _, how in await timeline.ledger()] == ["delivered"] * 3


async def test_the_clock_of_a_transaction_ends_with_it(begin: Begin) -> None:
    timeline = await begin("2020-01-01T00:00")
    async with timeline.database.transaction() as session:
        assert (await session.execute(text("SELECT clock_now()"))).scalar_one() == utc("2020-01-01T00:00")
    async with timeline.house.database.transaction() as session:
        (same,) = (await session.execute(text("SELECT clock_now() = now()"))).one()
    assert same
