"""`/v1/test-clock/advance`: the real engine, run forward; nothing leaves."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import httpx
import pytest

from notifier.pipeline import planner, rescuer
from tests.api.conftest import (
    Create,
    Rehearsal,
    Rehearse,
    connect,
    new_project,
    running,
    settings_for,
)
from tests.receivers import HttpReceiver, http_receiver

AT = "/v1/test-clock/advance"
START = "2027-03-01T00:00:00Z"
DAILY = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "UTC"}


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    """Yield a real HTTP server that writes down what comes."""
    async with http_receiver() as running:
        yield running


async def test_the_clock_of_a_live_project_cannot_be_moved(client: httpx.AsyncClient, create: Create) -> None:
    made = await create()
    answer = await client.post(AT, json={"to": "2199-01-01T00:00:00Z"})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:notifier:problem:conflict")
    assert (await client.get(f"/v1/notifications/{made['id']}")).json() == made


async def test_the_clock_runs_forward_only(rehearse: Rehearse) -> None:
    house = await rehearse(START)
    refused = await house.post(AT, {"to": "2027-02-28T23:59:59Z"}, 422)
    assert (refused["errors"][0]["pointer"], refused["errors"][0]["code"]) == ("/to", "in_the_past")
    assert await house.advance(START) == []


async def test_time_is_what_the_clock_says(rehearse: Rehearse) -> None:
    house = await rehearse(START)
    first = await house.create(schedule="daily")
    assert (first["created_at"], first["next_due_at"]) == (START, "2027-03-02T00:00:00Z")
    await house.advance("2027-03-01T12:00:00Z")
    second = await house.create(schedule="daily")
    assert (second["created_at"], second["next_due_at"]) == ("2027-03-01T12:00:00Z", "2027-03-02T12:00:00Z")
    patched = await house.client.patch(f"/v1/notifications/{first['id']}", json={"title": "New"})
    assert patched.json()["updated_at"] == "2027-03-01T12:00:00Z"


async def test_the_messages_on_the_way_are_captured_as_they_would_have_gone_out(rehearse: Rehearse) -> None:
    house = await rehearse(START)
    made = await house.create(
        title="Water the plants",
        body="Hi {{ name }}, it is {{ slot.local_date }}.",
        data={"name": "Ada"},
        schedule=DAILY,
        to=["mailto:ada@example.com"],
    )
    done = await house.post(AT, {"to": "2027-03-03T00:00:00Z"})
    assert (done["now"], done["complete"]) == ("2027-03-03T00:00:00Z", True)
    first, second = done["messages"]
    delivery = (await house.get("/v1/deliveries"))["items"][1]
    assert first == {
        "delivery_id": delivery["id"],
        "notification_id": made["id"],
        "kind": "email",
        "scheduled_for": "2027-03-01T09:00:00Z",
        "sent_at": "2027-03-01T09:00:00Z",
        "attempt": 1,
        "message_id": delivery["message_id"],
        "title": "Water the plants",
        "body": "Hi Ada, it is 2027-03-01.",
    }
    assert second["body"] == "Hi Ada, it is 2027-03-02."
    detail = await house.get(f"/v1/deliveries/{delivery['id']}")
    assert [one["outcome"] for one in detail["attempts"]] == ["delivered"]


async def test_an_outage_can_be_rehearsed(rehearse: Rehearse) -> None:
    house = await rehearse(START)
    await house.create(schedule=DAILY)
    assert await house.advance("2027-03-03T12:00:00Z", down=True) == []
    assert await house.ledger() == []
    assert [at for at, _ in await house.advance("2027-03-03T12:00:00Z")] == ["2027-03-03T12:00:00Z"]
    assert await house.ledger() == [
        ("2027-03-01T09:00:00Z", "missed", "coalesced"),
        ("2027-03-02T09:00:00Z", "missed", "coalesced"),
        ("2027-03-03T09:00:00Z", "delivered", None),
    ]


async def test_the_messages_of_a_test_project_never_leave(
    database_url: str, redis_url: str, receiver: HttpReceiver
) -> None:
    settings = settings_for(database_url, redis_url, allow_private_destinations="127.0.0.0/8")
    async with running(settings) as app:
        runtime = app.state.runtime
        project = await new_project(runtime.database, clock_at=datetime.fromisoformat(START))
        async with connect(app, await project.new_key("write")) as client:
            house = Rehearsal(client)
            made = await house.create(schedule=DAILY, to=[f"{receiver.url}/hook"])
            at = f"/v1/notifications/{made['id']}"
            await house.post(f"{at}/send", status=202)
            await house.post(f"/v1/destinations/{made['destinations'][0]['id']}/test", status=202)
            # the engine of the live projects passes by, and nobody was rung for
            assert await planner.sweep(runtime.database, runtime.queue, batch=100) == 0
            await rescuer.run(runtime.database, runtime.queue)
            assert await runtime.queue.redis.zcard(runtime.queue.name) == 0
            done = await house.post(AT, {"to": "2027-03-02T00:00:00Z"})
            assert [(one["kind"], one["sent_at"]) for one in done["messages"]] == [
                ("webhook", START),
                ("webhook", START),
                ("webhook", "2027-03-01T09:00:00Z"),
            ]
            assert {status for _, status, _ in await house.ledger()} == {"delivered"}
    assert receiver.requests == []


async def test_a_clock_is_moved_by_one_call_at_a_time(rehearse: Rehearse) -> None:
    house = await rehearse(START)
    await house.create(schedule={"kind": "interval", "every": "PT30M", "anchor": "grid"})
    calls = (house.client.post(AT, json={"to": "2027-03-02T00:00:00Z"}) for _ in range(2))
    answers = await asyncio.gather(*calls)
    assert sorted(one.status_code for one in answers) == [200, 409]
    ledger = await house.ledger()
    assert {status for _, status, _ in ledger} == {"delivered"}
    # each slot once, whoever of the two planned it: 00:30 to 24:00
    assert len({at for at, _, _ in ledger}) == len(ledger) == 48


async def test_test_projects_have_clocks_of_their_own(rehearse: Rehearse) -> None:
    one, other = await rehearse(START), await rehearse(START)
    for house in (one, other):
        await house.create(schedule=DAILY)
    assert len(await one.advance("2027-03-03T00:00:00Z")) == 2
    assert await other.ledger() == []
    assert len(await other.advance("2027-03-02T00:00:00Z")) == 1


async def test_a_read_key_does_not_move_the_clock(reader: httpx.AsyncClient) -> None:
    assert (await reader.post(AT, json={"to": "2199-01-01T00:00:00Z"})).status_code == 403


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/to", "missing"),
        ({"to": "tomorrow"}, "/to", "invalid_instant"),
        ({"to": "2027-03-02T00:00:00"}, "/to", "invalid_instant"),
        ({"to": None}, "/to", "invalid_instant"),
        ({"to": "2027-03-02T00:00:00Z", "down": "yes"}, "/down", "bool_type"),
        ({"to": "2027-03-02T00:00:00Z", "by": "P1D"}, "/by", "extra_forbidden"),
    ],
)
async def test_a_wrong_advance_is_refused_by_its_place(
    rehearse: Rehearse, body: dict, pointer: str, code: str
) -> None:
    house = await rehearse(START)
    refused = await house.post(AT, body, 422)
    assert [(one["pointer"], one["code"]) for one in refused["errors"]] == [(pointer, code)]


@pytest.mark.long
async def test_a_year_over_both_changes_of_the_clocks_gives_the_exact_ledger(rehearse: Rehearse) -> None:
    house = await rehearse("2027-01-01T00:00:00Z")
    rule = {"kind": "calendar", "frequency": "daily", "times": ["02:30"], "timezone": "Europe/Berlin"}
    await house.create(schedule=rule)
    sent = [at for at, _ in await house.advance("2028-01-02T00:00:00Z")]
    # 02:30 is 01:30Z in winter, 00:30Z in summer; on the 28th of March it does not exist: 03:30 is 01:30Z
    assert len(sent) == len({at[:10] for at in sent}) == 366
    assert [at[11:16] for at in sent] == ["01:30"] * 87 + ["00:30"] * 217 + ["01:30"] * 62


async def test_a_replay_moves_neither_the_clock_nor_the_count_of_occurrences(rehearse: Rehearse) -> None:
    house = await rehearse("2027-03-01T00:00:00Z")
    made = await house.create(
        schedule={"kind": "interval", "every": "daily", "max_occurrences": 3},
        start_at="2027-03-01T09:00:00Z",
    )
    await house.advance("2027-03-01T12:00:00Z")
    (first,) = (await house.get("/v1/deliveries"))["items"]
    before = await house.get(f"/v1/notifications/{made['id']}")
    new = await house.post(f"/v1/deliveries/{first['id']}/replay", status=202)
    assert await house.advance("2027-03-01T13:00:00Z") == [("2027-03-01T12:00:00Z", "Water the plants")]
    after = await house.get(f"/v1/notifications/{made['id']}")
    assert after["next_due_at"] == before["next_due_at"] == "2027-03-02T09:00:00Z"
    assert after["last_delivered_at"] == "2027-03-01T12:00:00Z"
    assert (await house.get(f"/v1/deliveries/{new['id']}"))["status"] == "delivered"
    sent = await house.advance("2027-03-31T00:00:00Z")
    assert [at for at, _ in sent] == ["2027-03-02T09:00:00Z", "2027-03-03T09:00:00Z"]
