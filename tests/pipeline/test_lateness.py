"""How late a message may start, and how long it is tried: two things, by `missed` and by the next slot."""

from datetime import datetime
from typing import Any

import pytest

from notifier.clock import new_id
from notifier.domain.delivery import AttemptOutcome, Outcome
from notifier.pipeline import rescuer
from notifier.services import deliveries, exceptions
from notifier.storage import claims, planning
from notifier.storage.known_destinations import KnownDestinations
from notifier.storage.stretches import START, Stretch
from tests.pipeline.conftest import Begin
from tests.pipeline.timeline import Line, Timeline, utc

DAILY = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "UTC"}
ONCE = {"kind": "once", "at": "2027-01-02T09:00:00Z"}
FAILED = Outcome(AttemptOutcome.FAILED, 500, "HTTP 500")

RULES: list[dict[str, Any]] = [
    {},
    {"policy": "skip"},
    {"grace": "PT1H"},
    {"policy": "all"},
    {"policy": "all", "grace": "PT1H"},
]


async def work(timeline: Timeline, at: str) -> list[Line]:
    """Have a worker try all that waits and is not too late at an instant; return the ledger afterwards."""
    await timeline.set_clock(at)
    await rescuer.expire(timeline.database)
    for row in await timeline.rows():
        if row.status in {"pending", "retrying"}:
            await timeline.deliver(row)
    return await timeline.ledger()


async def fail_until_the_end(timeline: Timeline, at: str) -> list[datetime]:
    """Have each try of the only delivery fail; return when each began."""
    tried = []
    while True:
        timeline.house.puppet.script.append(FAILED)
        await work(timeline, at)
        tried.append(utc(at))
        (row,) = await timeline.rows()
        if row.status != "retrying":
            return tried
        at = row.next_attempt_at.replace(tzinfo=None).isoformat()


@pytest.mark.parametrize("missed", RULES, ids=str)
async def test_a_message_that_began_in_time_is_tried_again_until_the_next_slot(
    begin: Begin, missed: dict[str, Any]
) -> None:
    timeline = await begin("2027-01-01T12:00")
    await timeline.create({**DAILY, "missed": missed})
    await timeline.sweep("2027-01-02T09:00")
    tried = await fail_until_the_end(timeline, "2027-01-02T09:00")
    # 5 s, 5 min, 30 min, 2 h, 5 h, 10 h are 17 h 35 min; 14 h more are too many
    assert len(tried) == 7
    assert tried[-1] > utc("2027-01-02T22:00")
    assert await timeline.ledger() == [("2027-01-02T09:00", "failed(next_slot_reached)")]


@pytest.mark.parametrize("missed", RULES, ids=str)
@pytest.mark.parametrize(
    "schedule", [ONCE, {**DAILY, "end_at": "2027-01-02T09:00:00Z"}], ids=["once", "the last slot"]
)
async def test_a_message_without_a_next_slot_has_all_its_tries(
    begin: Begin, schedule: dict[str, Any], missed: dict[str, Any]
) -> None:
    timeline = await begin("2027-01-01T12:00")
    await timeline.create({**schedule, "missed": missed})
    await timeline.sweep("2027-01-02T09:00")
    tried = await fail_until_the_end(timeline, "2027-01-02T09:00")
    assert len(tried) == len(timeline.house.deliverer.waits) + 1
    assert await timeline.ledger() == [("2027-01-02T09:00", "failed(retries_exhausted)")]


TOO_LATE = "missed(grace_exceeded)"


@pytest.mark.parametrize(
    ("schedule", "missed", "at", "becomes"),
    [
        (DAILY, {"grace": "PT1H"}, "2027-01-02T10:00", "delivered"),
        (DAILY, {"grace": "PT1H"}, "2027-01-02T10:00:00.000001", TOO_LATE),
        (DAILY, {"policy": "skip"}, "2027-01-02T09:05", "delivered"),
        (DAILY, {"policy": "skip"}, "2027-01-02T09:05:01", TOO_LATE),
        (DAILY, {}, "2027-01-03T08:59:59", "delivered"),
        (DAILY, {}, "2027-01-03T09:00", TOO_LATE),
        (DAILY, {"grace": "P3D"}, "2027-01-03T09:00", TOO_LATE),
        (DAILY, {"policy": "all"}, "2027-01-09T12:00", "delivered"),
        (DAILY, {"policy": "all", "grace": "P1DT1H"}, "2027-01-03T10:00", "delivered"),
        (DAILY, {"policy": "all", "grace": "P1DT1H"}, "2027-01-03T10:01", TOO_LATE),
        (ONCE, {}, "2027-01-09T12:00", "delivered"),
        (ONCE, {"policy": "skip"}, "2027-01-02T09:06", TOO_LATE),
    ],
    ids=str,
)
async def test_a_message_that_nobody_began_in_time_was_missed(
    begin: Begin, schedule: dict[str, Any], missed: dict[str, Any], at: str, becomes: str
) -> None:
    timeline = await begin("2027-01-01T12:00")
    await timeline.create({**schedule, "missed": missed})
    await timeline.sweep("2027-01-02T09:00")
    assert await work(timeline, at) == [("2027-01-02T09:00", becomes)]


@pytest.mark.parametrize("down_until", ["2027-01-02T10:00", "2027-01-02T09:30"])
async def test_what_the_planner_sends_at_the_end_of_its_grace_a_worker_sends(
    begin: Begin, down_until: str
) -> None:
    timeline = await begin("2027-01-01T12:00")
    await timeline.create({**DAILY, "missed": {"grace": "PT1H"}})
    await timeline.sweep(down_until)
    assert await work(timeline, down_until) == [("2027-01-02T09:00", "delivered")]


async def test_a_catch_up_is_tried_again_until_the_slot_after_it_and_no_longer(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    await timeline.create({**DAILY, "missed": {"policy": "all"}})
    await timeline.sweep("2027-01-04T10:00")
    timeline.house.puppet.script += [FAILED, FAILED, FAILED]
    days = ["2027-01-02T09:00", "2027-01-03T09:00", "2027-01-04T09:00"]
    assert await work(timeline, "2027-01-04T10:00") == [(day, "retrying") for day in days]
    timeline.house.puppet.script += [Outcome.delivered(), FAILED, FAILED]
    await work(timeline, "2027-01-04T10:10")
    assert await work(timeline, "2027-01-05T09:00") == [
        (days[0], "delivered"),
        (days[1], "failed(next_slot_reached)"),
        (days[2], "failed(next_slot_reached)"),
    ]


async def test_a_slot_sent_in_place_of_a_newer_one_that_is_left_out_has_until_the_next(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    await timeline.create({**DAILY, "exclude_dates": ["2027-01-03"]})
    await timeline.sweep("2027-01-03T10:00")
    assert await work(timeline, "2027-01-03T10:00") == [
        ("2027-01-02T09:00", "delivered"),
        ("2027-01-03T09:00", "skipped(excluded)"),
    ]


@pytest.mark.parametrize(
    ("missed", "moved"),
    [({"policy": "all"}, "delivered"), ({}, TOO_LATE), ({"policy": "all", "grace": "PT1H"}, TOO_LATE)],
)
async def test_a_moved_slot_that_newer_ones_overtook_is_sent_where_each_one_counts(
    begin: Begin, missed: dict[str, Any], moved: str
) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create({**DAILY, "missed": missed})
    async with timeline.context() as ctx:
        draft = {"slot": utc("2027-01-02T09:00"), "action": "move", "title": None, "body": None}
        await exceptions.create(ctx, wanted, {**draft, "move_to": utc("2027-01-02T11:00")})
    await timeline.sweep("2027-01-03T09:30")
    assert (await work(timeline, "2027-01-03T09:30"))[:2] == [
        ("2027-01-02T09:00", "skipped(moved)"),
        ("2027-01-02T11:00", moved),
    ]


async def test_a_moved_slot_that_newer_ones_overtook_may_be_tried_again(begin: Begin) -> None:
    timeline = await begin("2027-01-01T12:00")
    wanted = await timeline.create({**ONCE, "missed": {"policy": "all"}})
    async with timeline.context() as ctx:
        draft = {"slot": utc("2027-01-02T09:00"), "action": "move", "title": None, "body": None}
        await exceptions.create(ctx, wanted, {**draft, "move_to": utc("2027-01-02T11:00")})
    await timeline.sweep("2027-01-05T09:30")
    timeline.house.puppet.script.append(FAILED)
    assert (await work(timeline, "2027-01-05T09:30"))[-1] == ("2027-01-02T11:00", "retrying")
    assert (await work(timeline, "2027-01-05T09:40"))[-1] == ("2027-01-02T11:00", "delivered")


@pytest.mark.parametrize(("at", "held"), [("2027-01-02T10:00", 1), ("2027-01-02T10:01", 0)])
async def test_what_is_over_by_its_grace_is_not_held_and_what_is_released_starts_at_any_time(
    begin: Begin, at: str, held: int
) -> None:
    timeline = await begin("2027-01-01T12:00")
    await timeline.create({**DAILY, "missed": {"grace": "PT1H"}})
    await timeline.sweep("2027-01-02T09:00")
    await timeline.set_clock(at)
    async with timeline.database.transaction() as session:
        assert await planning.hold_overdue(session, Stretch(START, 100)) == held
    async with timeline.context() as ctx:
        await deliveries.decide_held(ctx, release=True, filters={})
    how = "delivered" if held else TOO_LATE
    assert await work(timeline, "2027-02-01T00:00") == [("2027-01-02T09:00", how)]


async def test_a_limited_notification_goes_on_with_another_slot_for_one_that_nobody_began_in_time(
    begin: Begin,
) -> None:
    timeline = await begin("2027-01-01T12:00")
    await timeline.create({**DAILY, "max_occurrences": 1, "missed": {"grace": "PT1H"}})
    await timeline.sweep("2027-01-02T09:00")
    assert await work(timeline, "2027-01-02T10:01") == [("2027-01-02T09:00", TOO_LATE)]
    await timeline.sweep("2027-01-03T09:00")
    assert await work(timeline, "2027-01-03T09:00") == [
        ("2027-01-02T09:00", TOO_LATE),
        ("2027-01-03T09:00", "delivered"),
    ]


@pytest.mark.parametrize(("at", "how"), [("2027-01-02T10:00", "delivered"), ("2027-01-02T10:01", TOO_LATE)])
async def test_a_claim_that_is_handed_back_leaves_the_message_its_grace(
    begin: Begin, at: str, how: str
) -> None:
    timeline = await begin("2027-01-01T12:00")
    await timeline.create({**DAILY, "missed": {"grace": "PT1H"}})
    await timeline.sweep("2027-01-02T09:00")
    (row,) = await timeline.rows()
    async with timeline.database.transaction() as session:
        key, token = (row.project_id, row.id), new_id()
        assert None not in await claims.claim(session, [key], token, 60, KnownDestinations())
        await claims.give_back(session, *key, token)
    assert await work(timeline, at) == [("2027-01-02T09:00", how)]
