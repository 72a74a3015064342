"""`PUT /v1/notifications/by-external-id/{external_id}`: saying what shall be, as often as one likes."""

import asyncio
import re
from urllib.parse import quote

import httpx
import pytest

from tests.api.conftest import Create

AT = "/v1/notifications/by-external-id/plants"
BODY = {"title": "Water the plants", "schedule": "daily"}
CALENDAR = {"kind": "calendar", "frequency": "daily", "times": ["02:30"], "timezone": "Europe/Berlin"}


async def listed(client: httpx.AsyncClient) -> list[dict]:
    items: list[dict] = (await client.get("/v1/notifications")).json()["items"]
    return items


async def test_the_first_put_creates_and_the_next_replaces(client: httpx.AsyncClient) -> None:
    made = await client.put(AT, json={**BODY, "body": "Hi", "data": {"a": 1}, "to": ["mailto:a@example.com"]})
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    assert made.headers["location"] == f"/v1/notifications/{made.json()['id']}"
    assert made.json()["external_id"] == "plants"
    assert [one["code"] for one in made.json()["warnings"]] == ["not_configured"]
    replaced = await client.put(AT, json={"title": "Water the ferns", "schedule": CALENDAR})
    assert (replaced.status_code, replaced.headers["etag"]) == (200, '"2"')
    now = replaced.json()
    assert now["id"] == made.json()["id"]
    # as a whole: what is not given is what a new one would have
    assert (now["title"], now["body"], now["data"]) == ("Water the ferns", "", {})
    assert [one["kind"] for one in now["destinations"]] == ["log"]
    assert now["transitions"]
    assert len(await listed(client)) == 1


async def test_the_same_put_again_makes_no_revision_and_leaves_the_clock_alone(
    client: httpx.AsyncClient,
) -> None:
    body = {**BODY, "to": ["log:", "mailto:a@example.com"], "start_at": "2199-01-01T00:00:00Z"}
    first = await client.put(AT, json=body)
    again = await client.put(AT, json=body)
    assert (again.status_code, again.json()) == (200, first.json())


async def test_a_put_leaves_the_pause_as_it_is(client: httpx.AsyncClient) -> None:
    made = (await client.put(AT, json=BODY)).json()
    pause = {"reason": "on holiday", "until": "2199-01-01T00:00:00Z"}
    await client.post(f"/v1/notifications/{made['id']}/pause", json=pause)
    put = (await client.put(AT, json={**BODY, "title": "New", "schedule": "weekly"})).json()
    assert (put["status"], put["pause_reason"], put["paused_until"]) == ("paused", *pause.values())


async def test_a_put_heeds_if_match(client: httpx.AsyncClient) -> None:
    await client.put(AT, json=BODY)
    newer = {**BODY, "title": "New"}
    assert (await client.put(AT, json=newer, headers={"If-Match": '"1"'})).status_code == 200
    assert (await client.put(AT, json=BODY, headers={"If-Match": '"1"'})).status_code == 412
    assert [one["title"] for one in await listed(client)] == ["New"]


async def test_a_put_that_expects_a_revision_makes_nothing_new(client: httpx.AsyncClient) -> None:
    assert (await client.put(AT, json=BODY, headers={"If-Match": '"1"'})).status_code == 412
    assert await listed(client) == []


async def test_many_puts_of_a_new_external_id_make_one_notification(client: httpx.AsyncClient) -> None:
    puts = (client.put(AT, json={**BODY, "title": f"{n}"}) for n in range(20))
    answers = await asyncio.gather(*puts)
    assert sorted(one.status_code for one in answers) == [200] * 19 + [201]
    assert len({one.json()["id"] for one in answers}) == 1
    (only,) = await listed(client)
    assert only["revision"] == 20


async def test_a_put_meets_a_create_of_the_same_external_id_and_replaces_it(
    client: httpx.AsyncClient,
) -> None:
    for n in range(10):
        put, post = await asyncio.gather(
            client.put(f"{AT}{n}", json=BODY),
            client.post("/v1/notifications", json={**BODY, "external_id": f"plants{n}"}),
        )
        assert (put.status_code, post.status_code) in {(200, 201), (201, 409)}
    assert len(await listed(client)) == 10


async def test_a_put_meets_a_delete_or_a_new_external_id_and_makes_another(client: httpx.AsyncClient) -> None:
    for n in range(10):
        at = f"{AT}{n}"
        made = (await client.put(at, json=BODY)).json()
        path = f"/v1/notifications/{made['id']}"
        taken = client.delete(path) if n % 2 else client.patch(path, json={"external_id": None})
        put, _ = await asyncio.gather(client.put(at, json={**BODY, "title": "New"}), taken)
        assert put.status_code in {200, 201}
        # replaced before it was taken away, or made anew
        assert (put.json()["id"] == made["id"]) is (put.status_code == 200)


async def test_a_put_after_a_delete_makes_another(client: httpx.AsyncClient) -> None:
    first = (await client.put(AT, json=BODY)).json()
    await client.delete(f"/v1/notifications/{first['id']}")
    second = await client.put(AT, json=BODY)
    assert second.status_code == 201
    assert second.json()["id"] != first["id"]


async def test_a_put_replaces_what_a_create_made(client: httpx.AsyncClient, create: Create) -> None:
    made = await create(external_id="plants")
    put = await client.put(AT, json={**BODY, "title": "New"})
    assert (put.status_code, put.json()["id"]) == (200, made["id"])


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({**BODY, "external_id": "other"}, "/external_id", "extra_forbidden"),
        ({"title": "x"}, "/schedule", "missing"),
        ({"schedule": "daily"}, "/title", "missing"),
        ({**BODY, "schedule": {"kind": "cron", "expression": "0 0 30 2 *", "timezone": "UTC"}}, None, None),
        ({**BODY, "to": ["nonsense"]}, "/to/0", None),
        ({**BODY, "body": "{{ nobody }}"}, "/body", "invalid_template"),
    ],
)
async def test_a_put_is_checked_as_a_create_is(
    client: httpx.AsyncClient, body: dict, pointer: str | None, code: str | None
) -> None:
    for _ in ("new", "replaced"):
        answer = await client.put(AT, json=body)
        assert answer.status_code == 422
        error = answer.json()["errors"][0]
        assert error["pointer"].startswith(pointer or "/schedule")
        assert code is None or error["code"] == code
        await client.put(AT, json=BODY)
    assert (await listed(client))[0]["revision"] == 1


@pytest.mark.parametrize("name", ["a b", "a/b/", "ü🌱", "%", "%2F", "x" * 200, "?a=b#c", "a\nb\n", "\n/"])
async def test_an_external_id_may_be_any_text(client: httpx.AsyncClient, name: str) -> None:
    put = await client.put(f"/v1/notifications/by-external-id/{quote(name, safe='')}", json=BODY)
    assert (put.status_code, put.json()["external_id"]) == (201, name)


@pytest.mark.parametrize("name", ["", "x" * 201, "\0"])
async def test_an_external_id_has_its_limits(client: httpx.AsyncClient, name: str) -> None:
    put = await client.put(f"/v1/notifications/by-external-id/{quote(name, safe='')}", json=BODY)
    assert (put.status_code, put.json()["errors"][0]["pointer"]) == (422, "/external_id")


@pytest.mark.parametrize("name", ["plants", "a/b", "ä ? #"])
async def test_a_notification_is_found_by_its_external_id(client: httpx.AsyncClient, name: str) -> None:
    at = f"/v1/notifications/by-external-id/{quote(name, safe='')}"
    assert (await client.get(at)).status_code == 404
    made = (await client.put(at, json=BODY)).json()
    found = await client.get(at)
    assert found.status_code == 200
    assert found.json() == (await client.get(f"/v1/notifications/{made['id']}")).json()
    await client.delete(f"/v1/notifications/{made['id']}")
    assert (await client.get(at)).status_code == 404


async def test_a_deleted_notification_is_told_from_one_that_never_was(client: httpx.AsyncClient) -> None:
    made = (await client.put(AT, json=BODY)).json()
    await client.delete(f"/v1/notifications/{made['id']}")
    for answer in (
        await client.get(f"/v1/notifications/{made['id']}"),
        await client.patch(f"/v1/notifications/{made['id']}", json={"title": "x"}),
    ):
        assert answer.status_code == 404
        assert re.search(r"was deleted at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\.", answer.json()["detail"])
