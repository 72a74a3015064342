"""`/v1/project`: what its admins may set, and who is sent which events."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from tests.api.conftest import Project, connect

NOBODY = "0199a000-0000-7000-8000-000000000000"
BAD_NEWS = ["delivery.failed", "delivery.missed", "delivery.held", "delivery.unknown", "destination.blocked"]


@pytest.fixture
async def admin(app: FastAPI, project: Project) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client with an admin key of the project."""
    async with connect(app, await project.new_key("read", "write", "admin")) as client:
        yield client


async def add_log(client: httpx.AsyncClient) -> str:
    made: dict = (await client.post("/v1/destinations", json={"kind": "log"})).json()
    return str(made["id"])


async def patch(client: httpx.AsyncClient, **changes: object) -> dict:
    answer = await client.patch("/v1/project", json=changes)
    assert answer.status_code == 200, answer.text
    changed: dict = answer.json()
    return changed


async def test_whoever_reads_sees_the_project_and_that_nobody_is_told_of_events(
    reader: httpx.AsyncClient, project: Project
) -> None:
    answer = await reader.get("/v1/project")
    assert answer.status_code == 200
    found = answer.json()
    assert (found["id"], found["name"], found["mode"], found["events"]) == (
        str(project.id), "test", "live", [],
    )  # fmt: skip


async def test_only_an_admin_may_change_it(client: httpx.AsyncClient, anonymous: httpx.AsyncClient) -> None:
    assert (await client.patch("/v1/project", json={"name": "x"})).status_code == 403
    assert (await anonymous.patch("/v1/project", json={"name": "x"})).status_code == 401
    assert (await anonymous.get("/v1/project")).status_code == 401


async def test_who_does_not_say_which_events_gets_the_bad_news(admin: httpx.AsyncClient) -> None:
    ops = await add_log(admin)
    changed = await patch(admin, events=[{"destination_id": ops}])
    assert changed["events"] == [{"destination_id": ops, "types": BAD_NEWS}]
    assert (await admin.get("/v1/project")).json() == changed


async def test_events_take_the_place_of_those_before_and_the_name_stays(admin: httpx.AsyncClient) -> None:
    one, other = await add_log(admin), await add_log(admin)
    await patch(admin, events=[{"destination_id": one}, {"destination_id": other}])
    wanted = [{"destination_id": other, "types": ["delivery.delivered", "destination.blocked"]}]
    assert (await patch(admin, events=wanted))["events"] == wanted
    renamed = await patch(admin, name="Büro")
    assert (renamed["name"], renamed["events"]) == ("Büro", wanted)
    assert (await patch(admin, events=[]))["events"] == []


async def test_a_destination_that_is_sent_events_is_not_deleted(admin: httpx.AsyncClient) -> None:
    ops = await add_log(admin)
    await patch(admin, events=[{"destination_id": ops}])
    refused = await admin.delete(f"/v1/destinations/{ops}")
    assert (refused.status_code, "PATCH /v1/project" in refused.json()["detail"]) == (409, True)
    await patch(admin, events=[])
    assert (await admin.delete(f"/v1/destinations/{ops}")).status_code == 204


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"events": [{}]}, "/events/0/destination_id", "missing"),
        ({"events": [{"destination_id": "x"}]}, "/events/0/destination_id", "uuid_parsing"),
        ({"events": [{"destination_id": NOBODY}]}, "/events/0/destination_id", "unknown_destination"),
        ({"events": [{"destination_id": NOBODY, "types": []}]}, "/events/0/types", "too_short"),
        ({"events": [{"destination_id": NOBODY, "types": ["x"]}]}, "/events/0/types/0", "enum"),
        ({"events": None}, "/events", "list_type"),
        ({"events": {}}, "/events", "list_type"),
        ({"events": [{"destination_id": NOBODY}] * 11}, "/events", "too_long"),
        ({"name": ""}, "/name", "string_too_short"),
        ({"name": None}, "/name", "string_type"),
        ({"mode": "test"}, "/mode", "extra_forbidden"),
    ],
    ids=str,
)
async def test_a_wrong_change_is_refused_with_its_place(
    admin: httpx.AsyncClient, body: dict, pointer: str, code: str
) -> None:
    answer = await admin.patch("/v1/project", json=body)
    assert answer.status_code == 422, answer.text
    assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [(pointer, code)]


async def test_a_destination_stands_once_and_belongs_to_the_project(
    admin: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    ours, theirs = await add_log(admin), await add_log(stranger)
    wanted = [{"destination_id": one} for one in (ours, theirs, ours)]
    answer = await admin.patch("/v1/project", json={"events": wanted})
    assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [
        ("/events/1/destination_id", "unknown_destination"),
        ("/events/2/destination_id", "duplicate"),
    ]


async def test_changes_at_the_same_time_wait_for_one_another(admin: httpx.AsyncClient) -> None:
    wanted = [{"destination_id": await add_log(admin)}]
    answers = await asyncio.gather(*(admin.patch("/v1/project", json={"events": wanted}) for _ in range(8)))
    assert [one.status_code for one in answers] == [200] * 8
