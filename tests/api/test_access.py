"""Keys and projects: who may do what, and that no project sees another."""

import re
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, update

from notifier.storage.engine import Database
from notifier.storage.tables import api_keys
from tests.api.conftest import Create, Project, connect

NOWHERE = "01a20322-0000-7000-8000-000000000000"
READS = ["/v1/notifications", "/v1/destinations", "/v1/deliveries"]
WRITES = [
    ("POST", "/v1/notifications"),
    ("POST", "/v1/notifications/bulk"),
    ("PATCH", f"/v1/notifications/{NOWHERE}"),
    ("DELETE", f"/v1/notifications/{NOWHERE}"),
    ("POST", f"/v1/notifications/{NOWHERE}/pause"),
    ("POST", f"/v1/notifications/{NOWHERE}/resume"),
    ("POST", f"/v1/notifications/{NOWHERE}/send"),
    ("POST", "/v1/destinations"),
    ("PATCH", f"/v1/destinations/{NOWHERE}"),
    ("DELETE", f"/v1/destinations/{NOWHERE}"),
    ("POST", f"/v1/destinations/{NOWHERE}/test"),
    ("PUT", "/v1/notifications/by-external-id/plants"),
    ("POST", f"/v1/notifications/{NOWHERE}/exceptions"),
    ("DELETE", f"/v1/notifications/{NOWHERE}/exceptions/{NOWHERE}"),
    ("POST", "/v1/deliveries/held"),
    ("POST", "/v1/deliveries/unknown"),
    ("POST", "/v1/deliveries/replay"),
    ("POST", f"/v1/deliveries/{NOWHERE}/replay"),
    ("POST", f"/v1/deliveries/{NOWHERE}/resolve"),
    ("POST", "/v1/test-clock/advance"),
]
ADMIN = [
    ("GET", "/v1/keys"),
    ("POST", "/v1/keys"),
    ("DELETE", f"/v1/keys/{NOWHERE}"),
    ("GET", "/v1/projects"),
    ("POST", "/v1/projects"),
    ("PATCH", "/v1/project"),
]
READ_ONE = [
    *(("GET", f"{path}/{NOWHERE}") for path in READS),
    ("GET", f"/v1/notifications/{NOWHERE}/upcoming"),
    ("GET", "/v1/notifications/by-external-id/plants"),
    ("GET", f"/v1/notifications/{NOWHERE}/exceptions"),
]
EVERY_CALL = [
    *(("GET", path) for path in READS),
    *READ_ONE,
    ("GET", "/v1/project"),
    ("POST", "/v1/schedules/preview"),
    *WRITES,
    *ADMIN,
]


@pytest.mark.parametrize(("method", "path"), EVERY_CALL)
async def test_no_call_is_answered_without_a_key(
    anonymous: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await anonymous.request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["type"] == "urn:notifier:problem:unauthenticated"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic bm86bm8=",
        "bearer: x",
        "Bearer a b",
        "Bearer \xe4",
        "x" * 8000,
    ],
)
async def test_a_wrong_key_is_no_key(anonymous: httpx.AsyncClient, header: str) -> None:
    headers = [("Authorization", header.encode("latin-1"))]
    answer = await anonymous.get("/v1/notifications", headers=headers)
    assert answer.status_code == 401


async def test_a_revoked_key_is_no_key(app: FastAPI, project: Project) -> None:
    key = await project.new_key("read")
    async with connect(app, key) as client:
        assert (await client.get("/v1/notifications")).status_code == 200
        async with project.database.transaction() as session:
            await session.execute(
                update(api_keys).where(api_keys.c.project_id == project.id).values(revoked_at=func.now())
            )
        assert (await client.get("/v1/notifications")).status_code == 401


@pytest.mark.parametrize("path", READS)
async def test_a_read_key_reads(reader: httpx.AsyncClient, path: str) -> None:
    assert (await reader.get(path)).status_code == 200


async def test_every_call_of_the_api_is_among_these(app: FastAPI) -> None:
    routes = {
        (method, re.sub(r"\{[^}]*_id\}", NOWHERE, path))
        for path, methods in app.openapi()["paths"].items()
        for method in (name.upper() for name in methods)
        if path.startswith("/v1/")
    }
    known = {
        (method, path.replace("by-external-id/plants", f"by-external-id/{NOWHERE}"))
        for method, path in EVERY_CALL
    }
    assert routes == known


@pytest.mark.parametrize(("method", "path"), READ_ONE)
async def test_a_read_key_does_not_find_what_is_not_there(
    reader: httpx.AsyncClient, method: str, path: str
) -> None:
    assert (await reader.request(method, path)).status_code == 404


@pytest.mark.parametrize(("method", "path"), ADMIN)
async def test_a_key_that_writes_is_no_admins(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path, json=None if method == "GET" else {})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:notifier:problem:forbidden")


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_read_key_changes_nothing(reader: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await reader.request(method, path, json={})
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:notifier:problem:forbidden"


async def test_an_admin_key_may_do_everything(app: FastAPI, project: Project) -> None:
    async with connect(app, await project.new_key("admin")) as admin:
        made = await admin.post("/v1/notifications", json={"title": "x", "schedule": "daily"})
        assert made.status_code == 201
        assert (await admin.get(made.headers["location"])).status_code == 200


async def test_a_key_without_scopes_may_do_nothing(app: FastAPI, project: Project) -> None:
    async with connect(app, await project.new_key()) as nobody:
        assert (await nobody.get("/v1/notifications")).status_code == 403


async def test_nothing_of_a_project_is_seen_or_touched_from_another(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, create: Create
) -> None:
    made = await create(external_id="plants")
    sent = (await client.post(f"/v1/notifications/{made['id']}/send")).json()["deliveries"][0]
    notification = f"/v1/notifications/{made['id']}"
    destination = f"/v1/destinations/{made['destinations'][0]['id']}"
    before = [(await client.get(path)).json() for path in (notification, destination)]
    calls = [("GET", notification), ("PATCH", notification), ("DELETE", notification)]
    calls += [("POST", f"{notification}/{verb}") for verb in ("pause", "resume", "send")]
    calls += [("GET", destination), ("PATCH", destination), ("DELETE", destination)]
    calls += [("POST", f"{destination}/test"), ("GET", f"/v1/deliveries/{sent['id']}")]
    for method, path in calls:
        answer = await stranger.request(method, path, json={} if method != "GET" else None)
        assert answer.status_code == 404, (method, path)
        nowhere = path.replace(path.split("/")[3], str(uuid4()))
        missing = await stranger.request(method, nowhere, json={} if method != "GET" else None)
        assert missing.json()["type"] == answer.json()["type"]
    assert [(await client.get(path)).json() for path in (notification, destination)] == before
    for path in READS:
        assert (await stranger.get(path)).json()["items"] == []


async def test_a_project_cannot_send_to_the_destination_of_another(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, create: Create
) -> None:
    theirs = (await create())["destinations"][0]["id"]
    body = {"title": "x", "schedule": "daily", "to": [theirs]}
    created = await stranger.post("/v1/notifications", json=body)
    own = (await stranger.post("/v1/notifications", json={**body, "to": ["log:"]})).json()
    patched = await stranger.patch(f"/v1/notifications/{own['id']}", json={"to": [theirs]})
    for answer in (created, patched):
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["code"] == "unknown_destination"
    assert own["destinations"][0]["id"] != theirs


async def test_two_projects_may_use_the_same_external_id_and_address(
    create: Create, stranger: httpx.AsyncClient
) -> None:
    body = {"title": "x", "schedule": "daily", "to": ["https://example.com/hook"], "external_id": "plants"}
    mine = await create(**body)
    other = await stranger.post("/v1/notifications", json=body)
    assert other.status_code == 201
    put = await stranger.put(
        "/v1/notifications/by-external-id/plants", json={"title": "y", "schedule": "daily"}
    )
    assert put.json()["id"] == other.json()["id"] != mine["id"]
    assert other.json()["destinations"][0]["id"] != mine["destinations"][0]["id"]
    assert other.json()["destinations"][0]["secret"] != mine["destinations"][0]["secret"]


async def test_keys_are_stored_hashed(database: Database, project: Project) -> None:
    key = await project.new_key("read")
    async with database.transaction() as session:
        rows = await session.execute(api_keys.select().where(api_keys.c.project_id == project.id))
        (row,) = rows.all()
    assert isinstance(row.project_id, UUID)
    assert key.encode() not in row.key_hash
    assert len(row.key_hash) == 32
