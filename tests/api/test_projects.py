"""Projects and keys: made by the operator, used by the others, kept apart."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from notifier.storage import access
from notifier.storage.engine import Database
from tests.api.conftest import Project, connect


@pytest.fixture
async def admin(app: FastAPI, project: Project) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client with an admin key of a project that is not the operator's."""
    async with connect(app, await project.new_key("admin")) as client:
        yield client


async def make_key(client: httpx.AsyncClient, name: str, *scopes: str) -> dict:
    answer = await client.post("/v1/keys", json={"name": name, "scopes": list(scopes)})
    assert answer.status_code == 201, answer.text
    made: dict = answer.json()
    return made


@pytest.mark.parametrize("mode", ["live", "test"])
async def test_a_new_project_comes_with_an_admin_key_of_its_own(
    app: FastAPI, operator: httpx.AsyncClient, mode: str
) -> None:
    answer = await operator.post("/v1/projects", json={"name": "rehearsals", "mode": mode})
    made = answer.json()
    assert answer.status_code == 201
    assert (made["name"], made["mode"], made["clock_at"] is None) == ("rehearsals", mode, mode == "live")
    async with connect(app, made["api_key"]) as client:
        assert (await client.get("/v1/notifications")).json()["items"] == []
        (key,) = (await client.get("/v1/keys")).json()["items"]
        assert set(key["scopes"]) == {"read", "write", "admin"}
        advance = await client.post("/v1/test-clock/advance", json={"to": "2199-01-01T00:00:00Z"})
        assert advance.status_code == (409 if mode == "live" else 200)


async def test_a_project_is_live_unless_told_otherwise(operator: httpx.AsyncClient) -> None:
    assert (await operator.post("/v1/projects", json={"name": "x"})).json()["mode"] == "live"


async def test_projects_are_listed_newest_first_without_their_keys(operator: httpx.AsyncClient) -> None:
    made = [(await operator.post("/v1/projects", json={"name": f"{n}"})).json() for n in range(3)]
    page = (await operator.get("/v1/projects", params={"limit": 2})).json()
    assert [one["id"] for one in page["items"]] == [made[2]["id"], made[1]["id"]]
    assert not any("api_key" in one for one in page["items"])
    following = await operator.get("/v1/projects", params={"limit": 1, "cursor": page["next_cursor"]})
    assert following.json()["items"][0]["id"] == made[0]["id"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_projects_are_the_operators_alone(
    app: FastAPI, admin: httpx.AsyncClient, database: Database, method: str
) -> None:
    answer = await admin.request(method, "/v1/projects", json={"name": "x"} if method == "POST" else None)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:notifier:problem:forbidden")
    async with database.transaction() as session:
        await access.ensure_default_project(session)
    key = await Project(access.DEFAULT_PROJECT, database).new_key("read", "write")
    async with connect(app, key) as no_admin:
        answer = await no_admin.request(
            method, "/v1/projects", json={"name": "x"} if method == "POST" else None
        )
        assert answer.status_code == 403


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": " "}, "/name"),
        ({"name": "n" * 201}, "/name"),
        ({"name": "x", "mode": "dry"}, "/mode"),
        ({"name": "x", "mode": None}, "/mode"),
        ({"name": "x", "clock_at": "2027-01-01T00:00:00Z"}, "/clock_at"),
    ],
)
async def test_a_wrong_project_is_refused_by_its_place(
    operator: httpx.AsyncClient, body: dict, pointer: str
) -> None:
    answer = await operator.post("/v1/projects", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [(["read"], [200, 403, 403]), (["read", "write"], [200, 201, 403]), (["admin"], [200, 201, 200])],
)
async def test_a_key_may_do_what_its_scopes_say(
    app: FastAPI, admin: httpx.AsyncClient, scopes: list[str], allowed: list[int]
) -> None:
    made = await make_key(admin, "one", *scopes)
    assert made["scopes"] == sorted(scopes)
    async with connect(app, made["key"]) as client:
        answers = [
            await client.get("/v1/notifications"),
            await client.post("/v1/notifications", json={"title": "x", "schedule": "daily"}),
            await client.get("/v1/keys"),
        ]
    assert [one.status_code for one in answers] == allowed


async def test_a_key_is_shown_once(admin: httpx.AsyncClient) -> None:
    made = await make_key(admin, "one", "read")
    assert made["key"].startswith("ntf_")
    listed = await admin.get("/v1/keys")
    assert listed.json()["items"][0] == {name: value for name, value in made.items() if name != "key"}
    assert made["key"] not in listed.text


async def test_a_revoked_key_opens_nothing_and_stays_listed(app: FastAPI, admin: httpx.AsyncClient) -> None:
    made = await make_key(admin, "one", "read")
    async with connect(app, made["key"]) as client:
        assert (await client.get("/v1/notifications")).status_code == 200
        assert (await admin.delete(f"/v1/keys/{made['id']}")).status_code == 204
        assert (await client.get("/v1/notifications")).status_code == 401
    assert (await admin.delete(f"/v1/keys/{made['id']}")).status_code == 404
    listed = (await admin.get("/v1/keys")).json()["items"]
    assert [one["revoked_at"] is not None for one in listed] == [True, False]


async def test_the_last_admin_key_cannot_be_revoked(app: FastAPI, admin: httpx.AsyncClient) -> None:
    (own,) = (await admin.get("/v1/keys")).json()["items"]
    await make_key(admin, "no admin", "read", "write")
    answer = await admin.delete(f"/v1/keys/{own['id']}")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:notifier:problem:conflict")
    other = await make_key(admin, "another", "admin")
    async with connect(app, other["key"]) as second:
        answers = await asyncio.gather(
            admin.delete(f"/v1/keys/{other['id']}"), second.delete(f"/v1/keys/{own['id']}")
        )
        # whoever comes second finds himself locked out, or the only one left
        assert sorted(one.status_code for one in answers)[0] == 204
        assert sorted(one.status_code for one in answers)[1] in {401, 409}


async def test_the_name_of_a_key_is_used_once(admin: httpx.AsyncClient) -> None:
    await make_key(admin, "one", "read")
    answer = await admin.post("/v1/keys", json={"name": "one", "scopes": ["read"]})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:notifier:problem:conflict")


async def test_the_keys_of_another_project_are_neither_seen_nor_revoked(
    admin: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    made = await make_key(admin, "one", "read")
    assert (await stranger.delete(f"/v1/keys/{made['id']}")).status_code == 404
    assert made["id"] not in (await stranger.get("/v1/keys")).text
    await make_key(stranger, "one", "read")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "x"}, "/scopes"),
        ({"scopes": ["read"]}, "/name"),
        ({"name": "x", "scopes": []}, "/scopes"),
        ({"name": "x", "scopes": ["root"]}, "/scopes/0"),
        ({"name": "x", "scopes": ["read"] * 4}, "/scopes"),
        ({"name": "x", "scopes": "read"}, "/scopes"),
        ({"name": "x", "scopes": ["read"], "key": "ntf_x"}, "/key"),
    ],
)
async def test_a_wrong_key_is_refused_by_its_place(
    admin: httpx.AsyncClient, body: dict, pointer: str
) -> None:
    answer = await admin.post("/v1/keys", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_a_key_is_made_once_for_an_idempotency_key(admin: httpx.AsyncClient) -> None:
    body, headers = {"name": "one", "scopes": ["read"]}, {"Idempotency-Key": "one"}
    first, again = [await admin.post("/v1/keys", json=body, headers=headers) for _ in range(2)]
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()


async def test_a_revoked_bootstrap_key_stays_so_until_the_operator_sets_another(database_url: str) -> None:
    database = Database(database_url, pool_size=1)

    async def opens(key: str) -> bool:
        async with database.transaction() as session:
            await access.ensure_default_project(session)
            await access.ensure_bootstrap_key(session, key)
            return await access.find_key(session, key) is not None

    try:
        assert await opens("ntf_the_first_bootstrap_key")
        async with database.transaction() as session:
            (row,) = (await access.keys_page(session, access.DEFAULT_PROJECT, after=None, limit=9)).items
            await access.revoke_key(session, access.DEFAULT_PROJECT, row.id)
        assert not await opens("ntf_the_first_bootstrap_key")
        assert await opens("ntf_the_second_bootstrap_key")
    finally:
        await database.aclose()
