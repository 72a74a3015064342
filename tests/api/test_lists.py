"""Lists: pages, cursors, filters."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from notifier.storage.engine import Database
from notifier.storage.tables import deliveries
from tests.api.conftest import Create

LISTS = ["/v1/notifications", "/v1/destinations", "/v1/deliveries"]


async def walk(client: httpx.AsyncClient, path: str, **params: object) -> list[list[dict]]:
    """Return all pages."""
    pages, cursor = [], {}
    while True:
        answer = (await client.get(path, params={**params, **cursor})).json()
        pages.append(answer["items"])
        if answer["next_cursor"] is None:
            return pages
        cursor = {"cursor": answer["next_cursor"]}


async def ids(client: httpx.AsyncClient, path: str, **params: object) -> list[str]:
    return [one["id"] for page in await walk(client, path, **params) for one in page]


@pytest.mark.parametrize("path", LISTS)
async def test_an_empty_list_has_one_empty_page(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()) == (200, {"items": [], "next_cursor": None})


async def test_a_list_is_walked_in_pages_while_others_add_to_it(
    client: httpx.AsyncClient, create: Create
) -> None:
    made = [one["id"] for _ in range(25) for one in await asyncio.gather(*(create() for _ in range(10)))]
    stop = asyncio.Event()

    async def add_more() -> int:
        added = 0
        while not stop.is_set():
            await create()
            added += 1
        return added

    adding = asyncio.create_task(add_more())
    pages = await walk(client, "/v1/notifications", limit=40)
    stop.set()
    assert await adding > 0
    seen = [one["id"] for page in pages for one in page]
    assert [len(page) for page in pages[:-1]] == [40] * (len(pages) - 1)
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == len(seen)
    assert set(made) <= set(seen)


async def test_a_page_holds_fifty_unless_asked(client: httpx.AsyncClient, create: Create) -> None:
    await asyncio.gather(*(create() for _ in range(51)))
    pages = await walk(client, "/v1/notifications")
    assert [len(page) for page in pages] == [50, 1]
    assert [len(page) for page in await walk(client, "/v1/notifications", limit=51)] == [51]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "", "1.5", "9" * 30])
async def test_a_limit_out_of_bounds_is_refused(client: httpx.AsyncClient, path: str, limit: str) -> None:
    answer = await client.get(path, params={"limit": limit})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/limit"


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "cursor",
    ["", "x", "ä", "\x00", "=" * 10, "A" * 22 + "B", "A" * 101, "../..", base64.b64encode(b"short").decode()],
)
async def test_a_garbage_cursor_is_refused(client: httpx.AsyncClient, path: str, cursor: str) -> None:
    answer = await client.get(path, params={"cursor": cursor})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/cursor"


async def test_a_cursor_of_another_project_shows_nothing_of_it(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, create: Create
) -> None:
    for _ in range(3):
        await create()
    cursor = (await client.get("/v1/notifications", params={"limit": 1})).json()["next_cursor"]
    assert (await stranger.get("/v1/notifications", params={"cursor": cursor})).json()["items"] == []


async def test_notifications_are_found_by_what_they_are(client: httpx.AsyncClient, create: Create) -> None:
    calendar = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "Europe/Berlin"}
    plants = await create(title="Water the plants", start_at=datetime.now(UTC).isoformat())
    ferns = await create(title="Water the FERNS, 100%", schedule=calendar, to=["mailto:ada@example.com"])
    bins = await create(title="Bins_out")
    await client.post(f"/v1/notifications/{bins['id']}/pause")
    soon = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    table: list[tuple[dict, list[dict]]] = [
        ({"status": "active"}, [ferns, plants]),
        ({"status": "paused"}, [bins]),
        ({"status": "completed"}, []),
        ({"kind": "calendar"}, [ferns]),
        ({"kind": "interval"}, [bins, plants]),
        ({"destination_id": ferns["destinations"][0]["id"]}, [ferns]),
        ({"destination_id": str(uuid4())}, []),
        ({"q": "water"}, [ferns, plants]),
        ({"q": "%"}, [ferns]),
        ({"q": "_"}, [bins]),
        ({"q": "\\"}, []),
        ({"q": "water", "kind": "interval"}, [plants]),
        ({"due_before": soon}, [plants]),
        ({"due_before": "2199-01-01T00:00:00+05:30"}, [ferns, plants]),
    ]
    for params, expected in table:
        assert await ids(client, "/v1/notifications", **params) == [one["id"] for one in expected], params
        assert await ids(client, "/v1/notifications", limit=1, **params) == [one["id"] for one in expected]


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/v1/notifications", {"status": "deleted"}),
        ("/v1/notifications", {"destination_id": "x"}),
        ("/v1/notifications", {"due_before": "tomorrow"}),
        ("/v1/notifications", {"due_before": "2026-11-23T09:00:00"}),
        ("/v1/notifications", {"due_before": "0001-01-01T00:00:00+23:59"}),
        ("/v1/notifications", {"due_before": "9999-12-31T23:59:59-23:59"}),
        ("/v1/notifications", {"due_before": "1e30"}),
        ("/v1/notifications", {"due_before": "NaN"}),
        ("/v1/notifications", {"q": "\x00"}),
        ("/v1/notifications", {"q": "q" * 201}),
        ("/v1/notifications", {"kind": "\x00"}),
        ("/v1/notifications", {"kind": "k" * 51}),
        ("/v1/destinations", {"kind": "\x00"}),
        ("/v1/deliveries", {"status": "late"}),
        ("/v1/deliveries", {"notification_id": "\x00"}),
        ("/v1/deliveries", {"reason": "\x00"}),
        ("/v1/deliveries", {"since": "2026"}),
        ("/v1/deliveries", {"until": ""}),
    ],
)
async def test_a_wrong_filter_is_refused(client: httpx.AsyncClient, path: str, params: dict) -> None:
    answer = await client.get(path, params=params)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == "/" + next(iter(params))


@pytest.mark.parametrize(
    ("path", "name", "hint"),
    [
        ("/v1/notifications", "stauts", "perhaps `status` is meant"),
        ("/v1/notifications", "Limit", "perhaps `limit` is meant"),
        ("/v1/destinations", "xyz", "there are: "),
        ("/v1/deliveries", "notification", "perhaps `notification_id` is meant"),
        ("/v1/deliveries", "a/b", "there are: "),
        ("/v1/notifications/{id}/upcoming", "limit", "there are: count."),
        ("/v1/notifications/{id}/exceptions", "limit", "there are: none."),
    ],
)
async def test_a_parameter_that_does_not_exist_is_refused(
    client: httpx.AsyncClient, create: Create, path: str, name: str, hint: str
) -> None:
    made = await create()
    answer = await client.get(path.replace("{id}", made["id"]), params={name: "x"})
    (problem,) = answer.json()["errors"]
    assert (answer.status_code, problem["code"]) == (422, "unknown_parameter")
    assert problem["pointer"] == "/" + name.replace("/", "~1")
    assert hint in problem["detail"]


async def test_every_list_refuses_parameters_that_it_does_not_know(
    app: FastAPI, client: httpx.AsyncClient, create: Create
) -> None:
    made = await create()
    lists = [
        path.replace("{notification_id}", made["id"])
        for path, methods in app.openapi()["paths"].items()
        if path not in ("/v1/projects", "/v1/keys")  # for administrators
        and '"next_cursor"' in json.dumps(app.openapi()["components"]["schemas"][shape(methods)])
    ]
    assert {*LISTS, f"/v1/notifications/{made['id']}/exceptions"} <= set(lists)
    for path in lists:
        answer = await client.get(path, params={"no_such": ""})
        assert [one["code"] for one in answer.json().get("errors", [])] == ["unknown_parameter"], path


def shape(methods: dict) -> str:
    """Return the name of what a GET answers."""
    answers = methods.get("get", {"responses": {}})["responses"]
    schema = answers.get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return str(schema.get("$ref", "/Problem")).rpartition("/")[2]


async def test_deliveries_are_found_by_what_they_are(
    client: httpx.AsyncClient, database: Database, create: Create
) -> None:
    made = await create(to=["log:", "mailto:ada@example.com"])
    sent = (await client.post(f"/v1/notifications/{made['id']}/send")).json()["deliveries"]
    log, mail = sent
    test = (await client.post(f"/v1/destinations/{mail['destination_id']}/test")).json()
    async with database.transaction() as session:
        failed = update(deliveries).where(deliveries.c.id == UUID(mail["id"]))
        await session.execute(failed.values(status="failed", reason="retries_exhausted"))
    before = (datetime.fromisoformat(test["scheduled_for"]) - timedelta(microseconds=1)).isoformat()
    table: list[tuple[dict, list[dict]]] = [
        ({}, [test, mail, log]),
        ({"notification_id": made["id"]}, [mail, log]),
        ({"destination_id": mail["destination_id"]}, [test, mail]),
        ({"status": "failed"}, [mail]),
        ({"status": "pending"}, [test, log]),
        ({"reason": "retries_exhausted"}, [mail]),
        ({"reason": "retries_exhausted", "status": "pending"}, []),
        ({"since": test["scheduled_for"]}, [test]),
        ({"until": test["scheduled_for"]}, [test, mail, log]),
        ({"until": before}, [mail, log]),
        ({"since": log["scheduled_for"], "until": log["scheduled_for"]}, [mail, log]),
    ]
    for params, expected in table:
        assert await ids(client, "/v1/deliveries", **params) == [one["id"] for one in expected], params
