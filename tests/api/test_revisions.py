"""`ETag` and `If-Match`: nobody overwrites what he has not seen."""

import asyncio

import httpx
import pytest
from sqlalchemy import text

from notifier.storage.engine import Database
from tests.api.conftest import Create

EDITS = [
    ("PATCH", "", {"title": "New"}),
    ("DELETE", "", None),
    ("POST", "/pause", None),
    ("POST", "/resume", None),
]


@pytest.mark.parametrize(("method", "path", "body"), EDITS)
async def test_a_stale_etag_changes_nothing(
    client: httpx.AsyncClient, create: Create, method: str, path: str, body: dict | None
) -> None:
    made = await create()
    at = f"/v1/notifications/{made['id']}"
    changed = await client.patch(at, json={"title": "Newer"})
    answer = await client.request(method, at + path, json=body, headers={"If-Match": '"1"'})
    assert answer.status_code == 412
    assert answer.json()["type"] == "urn:notifier:problem:precondition-failed"
    assert (await client.get(at)).json() == changed.json()


@pytest.mark.parametrize("etag", ['"1"', "*", 'W/"1"', "1"])
@pytest.mark.parametrize(("method", "path", "body"), EDITS)
async def test_the_right_etag_lets_an_edit_pass(
    client: httpx.AsyncClient, create: Create, method: str, path: str, body: dict | None, etag: str
) -> None:
    made = await create()
    answer = await client.request(
        method, f"/v1/notifications/{made['id']}{path}", json=body, headers={"If-Match": etag}
    )
    assert answer.is_success, answer.text


@pytest.mark.parametrize(
    "etag", ["", '"', "x", '"-1"', '"1.0"', '"99999999999999999999"', '"１"'.encode(), '""']
)
async def test_a_malformed_etag_is_refused(
    client: httpx.AsyncClient, create: Create, etag: str | bytes
) -> None:
    made = await create()
    answer = await client.patch(
        f"/v1/notifications/{made['id']}", json={"title": "New"}, headers=[("If-Match", etag)]
    )
    assert answer.status_code == 422
    error = answer.json()["errors"][0]
    assert (error["pointer"], error["code"]) == ("/If-Match", "invalid_etag")
    assert (await client.get(f"/v1/notifications/{made['id']}")).json() == made


async def test_destinations_heed_etags_too(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/destinations", json={"kind": "log"})
    at = made.headers["location"]
    renamed = await client.patch(at, json={"name": "one"}, headers={"If-Match": made.headers["etag"]})
    assert renamed.status_code == 200
    assert renamed.headers["etag"] == '"2"'
    for method, body in (("PATCH", {"name": "two"}), ("DELETE", None)):
        stale = await client.request(method, at, json=body, headers={"If-Match": made.headers["etag"]})
        assert stale.status_code == 412
    assert (await client.get(at)).json()["name"] == "one"
    assert (await client.delete(at, headers={"If-Match": '"2"'})).status_code == 204


async def test_of_many_edits_of_one_revision_one_wins(client: httpx.AsyncClient, create: Create) -> None:
    made = await create()
    at = f"/v1/notifications/{made['id']}"
    answers = await asyncio.gather(
        *(client.patch(at, json={"title": f"{n}"}, headers={"If-Match": '"1"'}) for n in range(10))
    )
    assert sorted(one.status_code for one in answers) == [200] + [412] * 9


async def test_a_read_that_would_say_nothing_new_has_no_body(
    client: httpx.AsyncClient, create: Create
) -> None:
    made = await create(external_id="plants")
    for at in (f"/v1/notifications/{made['id']}", "/v1/notifications/by-external-id/plants"):
        known = (await client.get(at)).headers["etag"]
        for header in (known, f"W/{known}", f'"0", {known}', "*"):
            answer = await client.get(at, headers={"If-None-Match": header})
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", known)
        assert (await client.get(at, headers={"If-None-Match": '"1"'})).status_code == 200


async def test_a_read_is_new_when_the_engine_has_moved_the_clock_without_a_revision(
    client: httpx.AsyncClient, create: Create, database: Database
) -> None:
    made = await create()
    at = f"/v1/notifications/{made['id']}"
    known = (await client.get(at)).headers["etag"]
    async with database.transaction() as session:
        moved = text("UPDATE notifications SET last_delivered_at = now() WHERE id = :id")
        await session.execute(moved, {"id": made["id"]})
    answer = await client.get(at, headers={"If-None-Match": known})
    assert (answer.status_code, answer.json()["revision"]) == (200, 1)
    # but who has seen that revision may still edit it
    assert (await client.patch(at, json={"title": "New"}, headers={"If-Match": known})).status_code == 200
