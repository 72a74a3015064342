"""`Idempotency-Key`: a POST that is repeated does its work once."""

import asyncio

import httpx
import pytest
from sqlalchemy import text

from notifier.storage import idempotency
from notifier.storage.engine import Database, Session
from notifier.storage.tables import idempotency_keys
from tests.api.conftest import Create, Project

HOOK = {"kind": "webhook", "config": {"url": "https://example.com/hook"}}
KEY = {"Idempotency-Key": "order 66"}


async def count(client: httpx.AsyncClient, path: str) -> int:
    return len((await client.get(path, params={"limit": 100})).json()["items"])


async def test_a_repeated_post_gets_the_same_answer_and_its_secret_too(client: httpx.AsyncClient) -> None:
    first = await client.post("/v1/destinations", json=HOOK, headers=KEY)
    again = await client.post("/v1/destinations", json=HOOK, headers=KEY)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert first.json()["secret"].startswith("whsec_")
    assert {name: again.headers[name] for name in ("location", "etag")} == {
        name: first.headers[name] for name in ("location", "etag")
    }
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert await count(client, "/v1/destinations") == 1


async def test_every_post_that_makes_something_takes_a_key(client: httpx.AsyncClient, create: Create) -> None:
    made = await create()
    destination = made["destinations"][0]["id"]
    posts = {
        "/v1/notifications": {"title": "Two", "schedule": "daily"},
        f"/v1/notifications/{made['id']}/send": None,
        f"/v1/destinations/{destination}/test": None,
    }
    for number, (path, body) in enumerate(posts.items()):
        headers = {"Idempotency-Key": str(number)}
        first = await client.post(path, json=body, headers=headers)
        assert first.is_success
        assert (await client.post(path, json=body, headers=headers)).json() == first.json()
    assert await count(client, "/v1/notifications") == 2
    assert await count(client, "/v1/deliveries") == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/destinations", {**HOOK, "name": "other"}),
        ("/v1/notifications", {"title": "x", "schedule": "daily"}),
    ],
)
async def test_a_key_stands_for_one_request(client: httpx.AsyncClient, path: str, body: dict) -> None:
    await client.post("/v1/destinations", json=HOOK, headers=KEY)
    answer = await client.post(path, json=body, headers=KEY)
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:notifier:problem:idempotency-mismatch"
    assert await count(client, "/v1/destinations") == 1
    assert await count(client, "/v1/notifications") == 0


async def test_twenty_posts_at_once_with_one_key_do_the_work_once(client: httpx.AsyncClient) -> None:
    posts = (client.post("/v1/destinations", json=HOOK, headers=KEY) for _ in range(20))
    answers = await asyncio.gather(*posts)
    assert {one.status_code for one in answers} == {201}
    assert len({one.text for one in answers}) == 1
    assert sum("idempotent-replayed" in one.headers for one in answers) == 19
    assert await count(client, "/v1/destinations") == 1


async def test_a_repetition_does_not_wait_for_long_while_the_first_request_is_under_way(
    client: httpx.AsyncClient, database: Database, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "PATIENCE", "100ms")
    async with database.engine.connect() as first:
        await idempotency.begin(Session(first), project.id, KEY["Idempotency-Key"], b"first")
        answer = await client.post("/v1/destinations", json=HOOK, headers=KEY)
        assert answer.status_code == 409
        assert answer.json()["type"] == "urn:notifier:problem:idempotency-in-progress"
        await first.rollback()
    assert (await client.post("/v1/destinations", json=HOOK, headers=KEY)).status_code == 201


async def test_only_the_key_is_waited_for_so_briefly(database: Database, project: Project) -> None:
    usual = text("SHOW lock_timeout")
    async with database.transaction() as session:
        before = (await session.execute(usual)).scalar_one()
        assert await idempotency.begin(session, project.id, "k", b"f") is None
        assert (await session.execute(usual)).scalar_one() == before


async def test_the_same_key_of_another_project_is_another_key(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    mine = await client.post("/v1/destinations", json=HOOK, headers=KEY)
    other = await stranger.post("/v1/destinations", json={"kind": "log"}, headers=KEY)
    assert (mine.status_code, other.status_code) == (201, 201)
    assert mine.json()["id"] != other.json()["id"]


async def test_a_request_that_failed_leaves_its_key_free(client: httpx.AsyncClient) -> None:
    refused = await client.post("/v1/destinations", json={"kind": "pigeon"}, headers=KEY)
    made = await client.post("/v1/destinations", json=HOOK, headers=KEY)
    assert (refused.status_code, made.status_code) == (422, 201)


@pytest.mark.parametrize("key", ["", "k" * 201, "ä".encode(), "a\tb"])
async def test_a_malformed_key_is_refused(client: httpx.AsyncClient, key: str | bytes) -> None:
    answer = await client.post("/v1/destinations", json=HOOK, headers=[("Idempotency-Key", key)])
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/Idempotency-Key"
    assert await count(client, "/v1/destinations") == 0


async def test_a_kept_answer_holds_no_secret_in_clear(
    client: httpx.AsyncClient, database: Database, project: Project
) -> None:
    await client.post("/v1/destinations", json=HOOK, headers=KEY)
    kept = idempotency_keys.select().where(idempotency_keys.c.project_id == project.id)
    async with database.transaction() as session:
        row = (await session.execute(kept)).one()
    assert b"whsec_" not in row.answer


async def test_a_read_key_cannot_read_an_answer_that_was_kept(
    client: httpx.AsyncClient, reader: httpx.AsyncClient
) -> None:
    await client.post("/v1/destinations", json=HOOK, headers=KEY)
    assert (await reader.post("/v1/destinations", json=HOOK, headers=KEY)).status_code == 403
