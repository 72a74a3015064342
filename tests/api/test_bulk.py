"""`POST /v1/notifications/bulk`: many new notifications, each as if it came alone."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from notifier.storage.engine import Database
from tests.api.conftest import Create, Project, Rehearse
from tests.api.test_bad_input import FIELDS, GOOD, assert_problem

AT = "/v1/notifications/bulk"
JSON = {"Content-Type": "application/json"}
CALENDAR = {"kind": "calendar", "frequency": "daily", "times": ["03:30"], "timezone": "Europe/Kiev"}
NOWHERE = "01a20322-0000-7000-8000-000000000000"
MOMENTS = {"id", "created_at", "updated_at", "next_due_at"}


async def bulk(client: httpx.AsyncClient, *items: object, **headers: str) -> dict[str, Any]:
    answer = await client.post(AT, content=json.dumps({"items": items}), headers={**JSON, **headers})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["created"] + found["failed"] == len(items)
    assert [one["index"] for one in found["items"]] == list(range(len(items)))
    return found


def statuses(answer: dict[str, Any]) -> list[int]:
    return [one["status"] for one in answer["items"]]


async def listed(client: httpx.AsyncClient, path: str = "/v1/notifications") -> list[dict]:
    items: list[dict] = (await client.get(path, params={"limit": 100})).json()["items"]
    return items


def comparable(notification: dict) -> dict:
    """Return what does not depend on when, or in which project, it was made."""
    kept = {name: value for name, value in notification.items() if name not in MOMENTS}
    return {**kept, "destinations": [(one["kind"], one["name"]) for one in notification["destinations"]]}


@pytest.mark.parametrize(
    "item",
    [
        GOOD,
        {**GOOD, "external_id": "plants", "body": "Hi {{ name }}", "data": {"name": "Ada", "n": [1.5, None]}},
        {**GOOD, "schedule": CALENDAR},
        {**GOOD, "schedule": {"kind": "once", "at": "2199-01-01T09:00", "timezone": "Europe/Berlin"}},
        {**GOOD, "start_at": "2199-01-01T00:00:00Z"},
        {**GOOD, "to": ["mailto:ada@example.com", "log:", "mailto:ada@example.com"]},
    ],
    ids=lambda item: json.dumps(item)[30:70],
)
async def test_an_item_is_stored_as_a_post_stores_it(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, item: dict
) -> None:
    (result,) = (await bulk(client, item))["items"]
    made = result["notification"]
    alone = (await stranger.post("/v1/notifications", json=item)).json()
    assert comparable(made) == comparable(alone)
    read = (await client.get(f"/v1/notifications/{made['id']}")).json()
    assert read == {name: value for name, value in made.items() if name in read}


async def test_the_answer_tells_the_changes_of_the_clocks_and_warnings(client: httpx.AsyncClient) -> None:
    (one,) = (await bulk(client, {**GOOD, "schedule": CALENDAR}))["items"]
    assert one["notification"]["transitions"]
    assert [warning["code"] for warning in one["notification"]["warnings"]] == ["zone_alias"]


async def test_a_thousand_are_made_with_one_call(client: httpx.AsyncClient, database: Database) -> None:
    items = [{**GOOD, "external_id": f"x{n}", "to": [f"mailto:{n % 300}@example.com"]} for n in range(1000)]
    answer = await bulk(client, *items)
    assert (answer["created"], set(statuses(answer))) == (1000, {201})
    assert [one["notification"]["external_id"] for one in answer["items"]] == [f"x{n}" for n in range(1000)]
    ids = [one["notification"]["id"] for one in answer["items"]]
    assert ids == sorted(ids)
    async with database.transaction() as session:
        counted = await session.execute(
            text(
                "SELECT count(DISTINCT n.id), count(DISTINCT r.notification_id),"
                " count(DISTINCT d.destination_id)"
                " FROM notifications AS n JOIN notification_revisions AS r ON r.notification_id = n.id"
                " JOIN notification_destinations AS d ON d.notification_id = n.id WHERE n.id = ANY(:ids)"
            ),
            {"ids": ids},
        )
    assert tuple(counted.one()) == (1000, 1000, 300)


async def test_a_wrong_item_spoils_no_other(client: httpx.AsyncClient) -> None:
    wrong = [{**GOOD, **changes} for changes, _, _ in FIELDS]
    items = [part for one in wrong for part in (GOOD, one)]
    answer = await bulk(client, *items)
    assert statuses(answer) == [201, 422] * len(wrong)
    for one, (_, pointer, code) in zip(answer["items"][1::2], FIELDS, strict=True):
        problem = one["problem"]
        assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]
        assert (problem["type"], problem["instance"]) == ("urn:notifier:problem:invalid-input", AT)
    assert len(await listed(client)) == len(wrong)


@pytest.mark.parametrize("item", [None, 1, "daily", [], [GOOD], True, {}])
async def test_an_item_that_is_no_notification_fails_as_a_post_of_it(
    client: httpx.AsyncClient, item: object
) -> None:
    (one,) = (await bulk(client, item))["items"]
    alone = await client.post("/v1/notifications", content=json.dumps(item), headers=JSON)
    if item is not None:  # which is no body at all
        assert {**one["problem"], "instance": ""} == {**alone.json(), "instance": ""}
    assert one["status"] == alone.status_code == 422


async def test_recipients_are_found_or_made_once(client: httpx.AsyncClient, create: Create) -> None:
    known = (await create(to=["mailto:ada@example.com"]))["destinations"][0]
    hook = "https://example.com/hook"
    answer = await bulk(
        client,
        {**GOOD, "to": [known["id"]]},
        {**GOOD, "to": ["mailto:ada@example.com"]},
        {**GOOD, "to": [hook, known["id"]]},
        {**GOOD, "to": [hook]},
        {**GOOD, "to": ["mailto:bob@example.com", NOWHERE, "ftp://x"]},
    )
    assert statuses(answer) == [201, 201, 201, 201, 422]
    made = [one["notification"]["destinations"] for one in answer["items"][:4]]
    assert [[one["id"] for one in each] for each in made[:2]] == [[known["id"]]] * 2
    assert made[2][0]["id"] == made[3][0]["id"]
    assert made[2][0]["secret"].startswith("whsec_")
    problem = answer["items"][4]["problem"]
    assert [(one["pointer"], one["code"]) for one in problem["errors"]] == [
        ("/to/1", "unknown_destination"),
        ("/to/2", "unsupported_address"),
    ]
    # nothing is made for an item that fails
    assert sorted(one["name"] for one in await listed(client, "/v1/destinations")) == [
        "ada@example.com",
        "example.com",
    ]


async def test_an_external_id_is_taken_by_the_first_who_has_it(
    client: httpx.AsyncClient, create: Create
) -> None:
    await create(external_id="old")
    answer = await bulk(
        client,
        {**GOOD, "external_id": "old", "to": ["mailto:nobody@example.com"]},
        {**GOOD, "external_id": "new", "title": ""},
        {**GOOD, "external_id": "new"},
        {**GOOD, "external_id": "new"},
        GOOD,
        GOOD,
    )
    assert statuses(answer) == [409, 422, 201, 409, 201, 201]
    assert {answer["items"][n]["problem"]["type"] for n in (0, 3)} == {
        "urn:notifier:problem:duplicate-external-id"
    }
    assert [one["kind"] for one in await listed(client, "/v1/destinations")] == ["log"]


async def test_calls_that_bring_the_same_things_at_once_make_each_once(client: httpx.AsyncClient) -> None:
    items = [{**GOOD, "external_id": f"x{n}", "to": [f"mailto:{n}@example.com"]} for n in range(50)]
    calls = [bulk(client, *(items if n % 2 else reversed(items))) for n in range(6)]
    puts = [
        client.put(
            f"/v1/notifications/by-external-id/x{n}", json={**GOOD, "to": [f"mailto:{49 - n}@example.com"]}
        )
        for n in range(0, 50, 7)
    ]
    answers, replaced = await asyncio.gather(asyncio.gather(*calls), asyncio.gather(*puts))
    assert {one.status_code for one in replaced} <= {200, 201}
    created = sum(one["created"] for one in answers) + sum(one.status_code == 201 for one in replaced)
    assert created == 50
    assert {status for one in answers for status in statuses(one)} <= {201, 409}
    assert len(await listed(client)) == 50
    assert len(await listed(client, "/v1/destinations")) == 50


async def test_a_call_with_an_idempotency_key_does_its_work_once(client: httpx.AsyncClient) -> None:
    hook = {**GOOD, "to": ["https://example.com/hook"]}
    first = await bulk(client, hook, {}, **{"Idempotency-Key": "once"})
    again = await bulk(client, hook, {}, **{"Idempotency-Key": "once"})
    assert again == first
    assert len(await listed(client)) == 1
    other = await client.post(AT, json={"items": [hook]}, headers={"Idempotency-Key": "once"})
    assert_problem(other, 422, "idempotency-mismatch")


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"items": []}, "/items", "too_short"),
        ({"items": [GOOD] * 1001}, "/items", "too_long"),
        ({"items": GOOD}, "/items", "list_type"),
        ({"items": [GOOD], "dry_run": True}, "/dry_run", "extra_forbidden"),
        ({}, "/items", "missing"),
        ([GOOD], "", "model_attributes_type"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_a_call_that_is_no_batch_is_refused_as_a_whole(
    client: httpx.AsyncClient, body: object, pointer: str, code: str
) -> None:
    problem = assert_problem(await client.post(AT, json=body), 422, "invalid-input")
    assert [(one["pointer"], one["code"]) for one in problem["errors"]] == [(pointer, code)]
    assert await listed(client) == []


async def test_a_thousand_items_with_texts_fit(client: httpx.AsyncClient) -> None:
    item = {**GOOD, "body": "b" * 8000}
    assert (await bulk(client, *[item] * 1000))["created"] == 1000
    answer = await client.post(AT, content=b" " * (16 * 2**20 + 1), headers=JSON)
    assert "16 MiB" in assert_problem(answer, 413, "too-large")["detail"]


async def test_other_requests_are_answered_while_a_heavy_call_is_worked_on(client: httpx.AsyncClient) -> None:
    # each of them takes all the time that a template may have
    slow = {**GOOD, "body": "{% for a in (1..10000) %}{{ forloop.index | times: 3 | plus: a }}{% endfor %}"}
    heavy = asyncio.create_task(bulk(client, *[{**slow, "title": f"{n}"} for n in range(100)]))
    answered = 0
    while not heavy.done():
        assert (await client.get("/v1/notifications", params={"limit": 1})).status_code == 200
        answered += 1
    assert set(statuses(await heavy)) <= {201, 422}
    assert answered >= 5


async def test_a_key_that_only_reads_makes_nothing(reader: httpx.AsyncClient) -> None:
    assert_problem(await reader.post(AT, json={"items": [GOOD]}), 403, "forbidden")


async def test_a_test_project_s_notifications_go_by_its_clock(rehearse: Rehearse) -> None:
    house = await rehearse("2027-03-01T09:00:00Z")
    answer = await house.post(AT, {"items": [{**GOOD, "title": "A"}, {**GOOD, "schedule": "weekly"}]})
    made = [one["notification"] for one in answer["items"]]
    assert [one["next_due_at"] for one in made] == ["2027-03-02T09:00:00Z", "2027-03-08T09:00:00Z"]
    assert {one["created_at"] for one in made} == {"2027-03-01T09:00:00Z"}
    assert await house.advance("2027-03-02T10:00:00Z") == [("2027-03-02T09:00:00Z", "A")]


async def test_items_stay_within_the_project(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, project: Project
) -> None:
    theirs = (await stranger.post("/v1/notifications", json={**GOOD, "external_id": "x"})).json()
    target = theirs["destinations"][0]["id"]
    answer = await bulk(client, {**GOOD, "external_id": "x"}, {**GOOD, "to": [target]})
    assert statuses(answer) == [201, 422]
