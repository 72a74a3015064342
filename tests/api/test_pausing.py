"""Pause and resume: what is skipped meanwhile, what goes on, and what is sent afterwards."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import update

from notifier.storage.engine import Database
from notifier.storage.tables import deliveries
from tests.api.conftest import Create, Rehearse

# 09:00 in Berlin is 08:00Z in winter
CALENDAR = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "Europe/Berlin"}
START = "2027-03-01T00:00:00Z"


@pytest.mark.parametrize("until", ["2020-01-01T00:00:00Z", "2026-01-01T00:00:00+01:00"])
async def test_a_pause_that_would_be_over_already_is_refused(
    client: httpx.AsyncClient, create: Create, until: str
) -> None:
    made = await create()
    answer = await client.post(f"/v1/notifications/{made['id']}/pause", json={"until": until})
    assert answer.status_code == 422
    error = answer.json()["errors"][0]
    assert (error["pointer"], error["code"]) == ("/until", "not_in_the_future")
    assert (await client.get(f"/v1/notifications/{made['id']}")).json() == made


async def test_pausing_again_changes_what_it_names_and_nothing_else(
    client: httpx.AsyncClient, create: Create
) -> None:
    at = f"/v1/notifications/{(await create())['id']}/pause"
    until = "2199-01-01T00:00:00Z"
    steps: list[tuple[dict, tuple[object, object, int]]] = [
        ({"reason": "on holiday"}, ("on holiday", None, 2)),
        ({"until": until}, ("on holiday", until, 3)),
        ({"until": until}, ("on holiday", until, 3)),
        ({"reason": "ill"}, ("ill", until, 4)),
        ({}, ("ill", until, 4)),
        ({"reason": None}, (None, until, 5)),
        ({"until": None}, (None, None, 6)),
    ]
    for body, expected in steps:
        paused = (await client.post(at, json=body)).json()
        assert (paused["pause_reason"], paused["paused_until"], paused["revision"]) == expected
        assert paused["status"] == "paused"


async def test_a_pause_says_who_made_it(client: httpx.AsyncClient, create: Create) -> None:
    paused = (await client.post(f"/v1/notifications/{(await create())['id']}/pause")).json()
    assert paused["paused_by"].startswith("ntf_")
    resumed = (await client.post(f"/v1/notifications/{paused['id']}/resume")).json()
    assert (resumed["paused_by"], resumed["paused_until"]) == (None, None)


@pytest.mark.parametrize(("cancel", "waiting"), [(False, "pending"), (True, "canceled")])
async def test_what_is_under_way_goes_on_unless_it_is_to_be_canceled(
    client: httpx.AsyncClient, database: Database, create: Create, cancel: bool, waiting: str
) -> None:
    made = await create()
    at = f"/v1/notifications/{made['id']}"
    ids = [(await client.post(f"{at}/send")).json()["deliveries"][0]["id"] for _ in range(3)]
    lease: dict[str, Any] = {"lease_token": UUID(int=1), "lease_expires_at": datetime.now(UTC)}
    states: list[dict[str, Any]] = [{"status": "sending", **lease}, {"status": "delivered"}]
    async with database.transaction() as session:
        for one, state in zip(ids, states, strict=False):
            await session.execute(update(deliveries).where(deliveries.c.id == UUID(one)).values(**state))
    await client.post(f"{at}/pause", json={"cancel_pending": cancel})
    found = [(await client.get(f"/v1/deliveries/{one}")).json() for one in ids]
    assert [one["status"] for one in found] == ["sending", "delivered", waiting]
    assert found[2]["reason"] == ("paused" if cancel else None)


async def test_resume_after_a_week_sends_nothing_and_records_the_week_as_one_range(
    rehearse: Rehearse,
) -> None:
    house = await rehearse(START)
    made = await house.create(schedule=CALENDAR, to=["log:", "mailto:ada@example.com"])
    at = f"/v1/notifications/{made['id']}"
    assert len(await house.advance("2027-03-02T12:00:00Z")) == 4
    before = await house.get(at)
    await house.post(f"{at}/pause")
    assert await house.advance("2027-03-09T12:00:00Z") == []
    resumed = await house.post(f"{at}/resume")
    # 7 slots passed: 3rd to 9th of March
    items = (await house.get("/v1/deliveries", reason="paused"))["items"]
    assert [(one["status"], one["scheduled_for"], one["slot_count"]) for one in items] == [
        ("skipped", "2027-03-03T08:00:00Z", 7)
    ] * 2
    assert {one["range_end"] for one in items} == {"2027-03-09T12:00:00Z"}
    assert len({one["destination_id"] for one in items}) == 2
    assert resumed["next_due_at"] == "2027-03-10T08:00:00Z"
    assert resumed["last_delivered_at"] == before["last_delivered_at"] == "2027-03-02T08:00:00Z"
    assert [at for at, _ in await house.advance("2027-03-10T12:00:00Z")] == ["2027-03-10T08:00:00Z"] * 2


async def test_resume_sends_the_latest_slot_that_passed_if_asked_to(rehearse: Rehearse) -> None:
    house = await rehearse(START)
    made = await house.create(schedule=CALENDAR)
    await house.post(f"/v1/notifications/{made['id']}/pause")
    await house.advance("2027-03-05T12:00:00Z")
    resumed = await house.post(f"/v1/notifications/{made['id']}/resume", {"catch_up": True})
    assert resumed["next_due_at"] == "2027-03-05T08:00:00Z"
    assert await house.advance("2027-03-05T12:00:00Z") == [("2027-03-05T12:00:00Z", "Water the plants")]
    assert await house.ledger() == [
        ("2027-03-01T08:00:00Z", "skipped", "paused"),
        ("2027-03-05T08:00:00Z", "delivered", None),
    ]


async def test_a_pause_ends_by_itself_and_the_next_slot_is_sent(rehearse: Rehearse) -> None:
    house = await rehearse(START)
    made = await house.create(schedule=CALENDAR)
    at = f"/v1/notifications/{made['id']}"
    await house.post(f"{at}/pause", {"until": "2027-03-03T08:00:00Z"})
    sent = await house.advance("2027-03-04T12:00:00Z")
    # the slot at the very end of the pause is the last that is skipped
    assert [at for at, _ in sent] == ["2027-03-04T08:00:00Z"]
    assert (await house.get(at))["paused_until"] is None
    assert (await house.ledger())[0] == ("2027-03-01T08:00:00Z", "skipped", "paused")


async def test_resume_of_what_is_not_paused_sends_nothing_and_changes_nothing(rehearse: Rehearse) -> None:
    house = await rehearse(START)
    made = await house.create(schedule=CALENDAR)
    resumed = await house.post(f"/v1/notifications/{made['id']}/resume", {"catch_up": True})
    assert (resumed["revision"], resumed["next_due_at"]) == (1, made["next_due_at"])


async def test_a_slot_that_was_moved_into_a_pause_is_skipped(rehearse: Rehearse) -> None:
    house = await rehearse(START)
    made = await house.create(schedule=CALENDAR)
    at = f"/v1/notifications/{made['id']}"
    move = {"slot": "2027-03-01T08:00:00Z", "action": "move", "move_to": "2027-03-02T10:00:00Z"}
    await house.post(f"{at}/exceptions", move, 201)
    await house.advance("2027-03-02T09:00:00Z")
    await house.post(f"{at}/pause")
    await house.advance("2027-03-02T12:00:00Z")
    await house.post(f"{at}/resume")
    assert await house.advance("2027-03-02T20:00:00Z") == []
    assert ("2027-03-02T10:00:00Z", "skipped", "paused") in await house.ledger()
