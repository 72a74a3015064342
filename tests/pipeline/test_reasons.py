"""Every reason of the page about the ledger can come about, with each status that it names."""

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row

from notifier.domain.delivery import TERMINAL, AttemptOutcome, Decision, Envelope, Outcome, Reason, Status
from notifier.services import deliveries, destinations, exceptions, notifications, pausing
from notifier.storage.encryption import Cipher
from tests.house import House
from tests.pipeline.conftest import Begin
from tests.pipeline.timeline import Timeline, utc
from tests.test_docs import rows_of_ledger

DAILY = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "UTC"}
NEW_YEAR = {**DAILY, "holidays": "DE"}
NOTHING = {"move_to": None, "title": None, "body": None}
FAILED = Outcome(AttemptOutcome.FAILED, 500, "HTTP 500")
TIMEOUT = Outcome(AttemptOutcome.TIMEOUT, error="no answer")
ANY_TIME = "UPDATE deliveries SET next_attempt_at = now(), start_by = NULL, expires_at = NULL"
End = tuple[str, str]
Way = Callable[[House], Awaitable[None]]
Days = Callable[[Timeline], Awaitable[None]]

WAYS: dict[End, Way] = {}
"""How a delivery of the live project comes to such an end."""

DAYS: dict[End, Days] = {}
"""How a slot of a test project, whose clock begins on the last noon of 2026, comes to such an end."""


def way(status: str, reason: str) -> Callable[[Way], Way]:
    return lambda steps: WAYS.setdefault((status, reason), steps)


def days(status: str, reason: str) -> Callable[[Days], Days]:
    return lambda steps: DAYS.setdefault((status, reason), steps)


async def first_answer(house: House, outcome: Outcome, **draft: Any) -> Row[Any]:
    """Return a delivery after one try that ended so."""
    await house.plan_one(**draft)
    house.puppet.script.append(outcome)
    return await house.send()


async def kill_worker(house: House) -> None:
    """Have a worker die while it sends, and the rescuer find what it held."""

    class Killed(BaseException):
        pass

    async def die(_envelope: Envelope) -> Outcome:
        raise Killed

    await house.sql(ANY_TIME)
    house.puppet.script.append(die)
    with suppress(Killed):
        await house.send()
    await house.sql("UPDATE deliveries SET lease_expires_at = now()")
    await house.rescue()


# --- tried, or impossible to try -------------------------------------------------------------------------


@way("failed", Reason.RETRIES_EXHAUSTED)
async def _(house: House) -> None:
    await first_answer(house, FAILED)
    for _ in house.deliverer.waits:
        await house.sql(ANY_TIME)
        house.puppet.script.append(FAILED)
        await house.send()


@way("failed", Reason.NEXT_SLOT_REACHED)
async def _(house: House) -> None:
    await first_answer(house, FAILED)
    await house.sql("UPDATE deliveries SET next_attempt_at = now(), expires_at = now()")
    await house.rescue()


@way("failed", Reason.RECIPIENT_REJECTED)
async def _(house: House) -> None:
    await first_answer(house, Outcome.rejected(Reason.RECIPIENT_REJECTED, "no such mailbox", 550))


@way("failed", Reason.DESTINATION_GONE)
async def _(house: House) -> None:
    await first_answer(house, Outcome.rejected(Reason.DESTINATION_GONE, "HTTP 410", 410))


@way("failed", Reason.ADDRESS_BLOCKED)
async def _(house: House) -> None:
    await house.plan_one(to=["https://example.com/hook"])
    # as if the name led somewhere else by now
    await house.sql("""UPDATE destinations SET config = '{"url": "http://127.0.0.1:9/hook"}'""")
    await house.send()


@way("delivered", Reason.PARTLY_REFUSED)
async def _(house: House) -> None:
    await first_answer(house, Outcome(AttemptOutcome.DELIVERED, 250, "not for", reason=Reason.PARTLY_REFUSED))


@way("failed", Reason.TEMPLATE_ERROR)
async def _(house: House) -> None:
    await house.plan_one()
    await house.sql("UPDATE notification_revisions SET body = '{% broken'")
    await house.send()


@way("failed", Reason.DECRYPTION_ERROR)
async def _(house: House) -> None:
    planned = await house.plan_one()
    other = replace(house.deliverer, cipher=Cipher("another-key-that-did-not-encrypt-it"))
    await other.deliver(planned.project_id, planned.id)


@way("failed", Reason.POISON)
async def _(house: House) -> None:
    await house.plan_one()
    for _ in range(3):
        await kill_worker(house)


@way("failed", Reason.PLANNING_ERROR)
async def _(house: House) -> None:
    await house.create_due()
    await house.sql("""UPDATE notifications SET schedule = '{"kind": "nonsense"}'""")
    await house.plan()


# --- decided by a person ---------------------------------------------------------------------------------


async def decide(house: House, decision: Decision) -> None:
    await house.plan_one()
    await house.sql("UPDATE destinations SET on_unknown = 'hold'")
    house.puppet.script.append(TIMEOUT)
    row = await house.send()
    async with house.context() as ctx:
        await deliveries.resolve(ctx, str(row.id), decision)


@way("delivered", Reason.DECIDED)
async def _(house: House) -> None:
    await decide(house, Decision.DELIVERED)


@way("failed", Reason.DECIDED)
async def _(house: House) -> None:
    await decide(house, Decision.FAILED)


async def drop_held(house: House) -> None:
    async with house.context() as ctx:
        await deliveries.decide_held(ctx, release=False, filters={})


@way("skipped", Reason.DECIDED)
async def _(house: House) -> None:
    await house.create_due()
    await house.sql("UPDATE destinations SET blocked_at = now()")
    await house.plan()
    await drop_held(house)


@way("canceled", Reason.PAUSED)
async def _(house: House) -> None:
    row = await house.plan_one()
    async with house.context() as ctx:
        await pausing.pause(ctx, str(row.notification_id), {"cancel_pending": True})


@way("canceled", Reason.NOTIFICATION_DELETED)
async def _(house: House) -> None:
    row = await house.plan_one()
    async with house.context() as ctx:
        await notifications.delete(ctx, str(row.notification_id), revision=None)


@way("canceled", Reason.DESTINATION_DELETED)
async def _(house: House) -> None:
    row = await house.plan_one()
    async with house.context() as ctx:
        changes = {"to": ["puppet:other"]}
        await notifications.update(ctx, str(row.notification_id), changes, revision=None)
        await destinations.delete(ctx, str(row.destination_id), revision=None)


# --- slots for which nothing was sent ------------------------------------------------------------------


@days("held", Reason.OVERDUE)
async def _(timeline: Timeline) -> None:
    await timeline.create(DAILY)
    await timeline.sweep("2027-01-01T12:00", hold_before="2027-01-01T11:00")


@days("skipped", Reason.OVERDUE)
async def _(timeline: Timeline) -> None:
    await timeline.create(DAILY)
    await timeline.sweep("2027-01-01T12:00", hold_before="2027-01-01T11:00")
    async with timeline.context() as ctx:
        await deliveries.decide_held(ctx, release=False, filters={})


@days("skipped", Reason.PAUSED)
async def _(timeline: Timeline) -> None:
    wanted = await timeline.create(DAILY)
    async with timeline.context() as ctx:
        await pausing.pause(ctx, wanted, {})
    await timeline.set_clock("2027-01-02T12:00")
    async with timeline.context() as ctx:
        await pausing.resume(ctx, wanted)


async def make_exception(timeline: Timeline, action: str, **more: Any) -> None:
    wanted = await timeline.create(DAILY)
    draft = {**NOTHING, "slot": utc("2027-01-01T09:00"), "action": action, **more}
    async with timeline.context() as ctx:
        await exceptions.create(ctx, wanted, draft)
    await timeline.sweep("2027-01-01T12:00")


@days("skipped", Reason.EXCLUDED)
async def _(timeline: Timeline) -> None:
    await make_exception(timeline, "skip")


@days("skipped", Reason.MOVED)
async def _(timeline: Timeline) -> None:
    await make_exception(timeline, "move", move_to=utc("2027-01-01T20:00"))


@days("skipped", Reason.HOLIDAY)
async def _(timeline: Timeline) -> None:
    await timeline.create(NEW_YEAR)
    await timeline.sweep("2027-01-01T12:00")


@days("missed", Reason.COALESCED)
async def _(timeline: Timeline) -> None:
    await timeline.create(DAILY)
    await timeline.sweep("2027-01-03T12:00")


@days("missed", Reason.GRACE_EXCEEDED)
async def _(timeline: Timeline) -> None:
    await timeline.create({**DAILY, "missed": {"policy": "skip"}})
    await timeline.sweep("2027-01-03T12:00")


# --- the page says so -----------------------------------------------------------------------------------


def documented() -> set[End]:
    """Return each status with each reason that the page names for it."""
    rows = rows_of_ledger("Reasons")
    return {(status, reason) for reason, cells in rows.items() for status in re.findall(r"`(\w+)`", cells[0])}


def test_the_page_names_all_ways_to_end_and_no_other() -> None:
    assert documented() == WAYS.keys() | DAYS.keys()
    assert {reason for _, reason in documented()} == set(Reason)


def test_whatever_ends_undelivered_has_a_reason_to_end_with() -> None:
    assert {status for status, _ in documented()} >= TERMINAL - {Status.DELIVERED}


@pytest.mark.parametrize("end", WAYS, ids="-".join)
async def test_a_delivery_comes_to_this_end(house: House, end: End) -> None:
    await WAYS[end](house)
    row = await house.delivery()
    assert (row.status, row.reason) == end
    assert row.finished_at is not None
    assert (row.next_attempt_at, row.lease_token) == (None, None)


@pytest.mark.parametrize("end", DAYS, ids="-".join)
async def test_a_slot_comes_to_this_end(begin: Begin, end: End) -> None:
    timeline = await begin("2026-12-31T12:00")
    await DAYS[end](timeline)
    rows = [row for row in await timeline.rows() if (row.status, row.reason) == end]
    assert rows
    assert all((row.finished_at is not None) == (row.status in TERMINAL) for row in rows)
    slots = [(row.destination_id, row.scheduled_for) for row in await timeline.rows()]
    assert len(set(slots)) == len(slots)


async def test_of_the_same_slot_the_message_id_is_the_same_after_a_restore(begin: Begin) -> None:
    timeline = await begin("2026-12-31T12:00")
    wanted = await timeline.create(DAILY)
    before = await timeline.notification(wanted)
    await timeline.sweep("2027-01-01T12:00")
    (first,) = await timeline.rows()
    # as a database is that was put back to an instant before the sweep
    await timeline.sql("DELETE FROM deliveries WHERE project_id = :id", id=timeline.project_id)
    await timeline.sql(
        "UPDATE notifications SET next_due_at = :due, last_slot_at = NULL WHERE id = :id",
        due=before.next_due_at,
        id=UUID(wanted),
    )
    await timeline.sweep()
    (again,) = await timeline.rows()
    assert again.id != first.id
    assert (again.scheduled_for, again.message_id) == (first.scheduled_for, first.message_id)
