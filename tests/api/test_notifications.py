"""`/v1/notifications`: what each call answers."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.api.conftest import Create

FIELDS = {
    *("id", "external_id", "title", "body", "data", "schedule", "destinations", "status", "next_due_at"),
    *(
        "last_delivered_at",
        "revision",
        "created_at",
        "updated_at",
        "paused_at",
        "pause_reason",
        "blocked_reason",
    ),
    *("paused_by", "paused_until", "paused_at"),
}
TOLD = {"transitions", "warnings"}
"""What only the answer to a save tells, and only where it gave a schedule."""
FULL = {
    "external_id": "plants",
    "title": "Water the plants",
    "body": "Hi {{ name }}, it is {{ slot.local_date }}.",
    "data": {"name": "Ada"},
    "schedule": {"kind": "interval", "every": "daily", "anchor": "delivered"},
    "to": ["log:"],
}


def without_told(saved: dict) -> dict:
    """Return the notification as every call shows it."""
    return {name: value for name, value in saved.items() if name not in TOLD}


async def test_the_least_body_makes_a_notification_that_goes_to_the_log(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/notifications", json={"title": "Water the plants", "schedule": "daily"})
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/notifications/{made['id']}"
    assert answer.headers["etag"] == '"1"'
    assert made.keys() == FIELDS | TOLD
    assert made["schedule"] == {"kind": "interval", "every": "daily", "anchor": "delivered"}
    assert [one["kind"] for one in made["destinations"]] == ["log"]
    expected = {"body": "", "data": {}, "status": "active", "revision": 1, "external_id": None}
    expected |= {"last_delivered_at": None, "pause_reason": None, "blocked_reason": None}
    assert {name: made[name] for name in expected} == expected
    assert made["created_at"] == made["updated_at"]
    assert made["created_at"].endswith("Z")


async def test_a_notification_reads_as_it_was_written(client: httpx.AsyncClient) -> None:
    made = without_told((await client.post("/v1/notifications", json=FULL)).json())
    read = await client.get(f"/v1/notifications/{made['id']}")
    assert read.status_code == 200
    assert read.headers["etag"].startswith('"1-')
    assert read.json() == made
    assert {name: made[name] for name in FULL if name != "to"} == {n: FULL[n] for n in FULL if n != "to"}
    assert made["destinations"] == [{"id": made["destinations"][0]["id"], "kind": "log", "name": "log"}]


async def test_the_location_header_leads_to_the_notification(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/notifications", json=FULL)
    assert (await client.get(made.headers["location"])).json() == without_told(made.json())


async def test_text_of_any_script_comes_back_unchanged(create: Create) -> None:
    text = "Ça va? 水をやる 🌱 \u200f\u0001 \\u0000 '; DROP TABLE notifications; --"
    made = await create(title=text, body=text, data={text: [text, {"": None}]}, external_id=text)
    assert (made["title"], made["body"], made["external_id"]) == (text, text, text)
    assert made["data"] == {text: [text, {"": None}]}


@pytest.mark.parametrize(
    "value",
    [0, -1, 1.5, 1e15, 2**63, 10**300, True, None, "", [], {}, [[]], "1", 0.1],
)
async def test_data_keeps_every_kind_of_value(create: Create, value: object) -> None:
    kept = (await create(data={"value": value}))["data"]["value"]
    assert kept == value
    assert isinstance(kept, type(value))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"title": "New"}, {"title": "New"}),
        ({"body": ""}, {"body": ""}),
        ({"body": "Hello"}, {"body": "Hello"}),
        ({"data": {"name": "Bob"}}, {"data": {"name": "Bob"}}),
        ({"external_id": "ferns"}, {"external_id": "ferns"}),
        ({"external_id": None}, {"external_id": None}),
    ],
)
async def test_a_patch_changes_what_it_names_and_nothing_else(
    client: httpx.AsyncClient, create: Create, changes: dict, expected: dict
) -> None:
    made = await create(**FULL)
    answer = await client.patch(f"/v1/notifications/{made['id']}", json=changes)
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"2"'
    patched = answer.json()
    updated_at = patched["updated_at"]
    assert updated_at > made["updated_at"]
    assert patched == {**made, **expected, "revision": 2, "updated_at": updated_at}


@pytest.mark.parametrize("name", ["title", "body", "data", "schedule", "start_at", "to"])
async def test_a_patch_refuses_null_where_a_field_cannot_be_empty(
    client: httpx.AsyncClient, create: Create, name: str
) -> None:
    made = await create(**FULL)
    answer = await client.patch(f"/v1/notifications/{made['id']}", json={name: None})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == f"/{name}"
    assert (await client.get(f"/v1/notifications/{made['id']}")).json() == made


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"title": FULL["title"]},
        {"schedule": "daily"},
        {"schedule": FULL["schedule"]},
        {"to": ["log:"]},
        {name: FULL[name] for name in FULL},
    ],
    ids=lambda changes: " ".join(changes) or "nothing",
)
async def test_a_patch_that_changes_nothing_makes_no_revision(
    client: httpx.AsyncClient, create: Create, changes: dict
) -> None:
    made = await create(**FULL)
    answer = await client.patch(f"/v1/notifications/{made['id']}", json=changes)
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"1"'
    assert without_told(answer.json()) == made
    assert (answer.json().keys() >= TOLD) is ("schedule" in changes)


async def test_a_patch_may_not_leave_a_template_without_its_data(
    client: httpx.AsyncClient, create: Create
) -> None:
    made = await create(**FULL)
    answer = await client.patch(f"/v1/notifications/{made['id']}", json={"data": {}})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/body"


async def test_delete_ends_a_notification_and_frees_its_external_id(
    client: httpx.AsyncClient, create: Create
) -> None:
    made = await create(**FULL)
    deleted = await client.delete(f"/v1/notifications/{made['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/send")):
        answer = await client.request(method, f"/v1/notifications/{made['id']}{path}", json={})
        assert answer.status_code == 404
    assert (await client.get("/v1/notifications")).json()["items"] == []
    again = await create(**FULL)
    assert (again["id"], again["external_id"]) != (made["id"], made["external_id"])
    assert again["external_id"] == "plants"


async def test_an_external_id_stands_for_one_notification(client: httpx.AsyncClient, create: Create) -> None:
    await create(external_id="plants")
    other = await create(external_id="ferns")
    created = await client.post("/v1/notifications", json=FULL)
    patched = await client.patch(f"/v1/notifications/{other['id']}", json={"external_id": "plants"})
    for answer in (created, patched):
        assert answer.status_code == 409
        assert answer.json()["type"] == "urn:notifier:problem:duplicate-external-id"
    assert len((await client.get("/v1/notifications")).json()["items"]) == 2


async def test_send_queues_one_delivery_for_each_destination(
    client: httpx.AsyncClient, create: Create
) -> None:
    made = await create(to=["log:", "mailto:ada@example.com"])
    answer = await client.post(f"/v1/notifications/{made['id']}/send")
    queued = answer.json()["deliveries"]
    assert answer.status_code == 202
    assert answer.json().keys() == {"deliveries"}
    assert [one["destination_id"] for one in queued] == [one["id"] for one in made["destinations"]]
    assert {one["trigger"] for one in queued} == {"manual"}
    assert {one["status"] for one in queued} == {"pending"}
    assert {one["revision"] for one in queued} == {1}
    after = (await client.get(f"/v1/notifications/{made['id']}")).json()
    assert after == made


async def test_send_counts_the_interval_from_now_if_asked(client: httpx.AsyncClient, create: Create) -> None:
    made = await create(schedule="weekly")
    before = datetime.now(UTC)
    await client.post(f"/v1/notifications/{made['id']}/send", json={"reset_clock": True})
    after = (await client.get(f"/v1/notifications/{made['id']}")).json()
    assert before <= datetime.fromisoformat(after["next_due_at"]) - timedelta(weeks=1) <= datetime.now(UTC)
    assert after["revision"] == made["revision"]


async def test_every_send_is_a_message_of_its_own(client: httpx.AsyncClient, create: Create) -> None:
    made = await create()
    sent = [await client.post(f"/v1/notifications/{made['id']}/send") for _ in range(3)]
    assert len({one.json()["deliveries"][0]["message_id"] for one in sent}) == 3
