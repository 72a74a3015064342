"""`/v1/destinations`: what each call answers."""

from uuid import UUID

import httpx
import pytest

from notifier.storage import destinations
from notifier.storage.engine import Database
from tests.api.conftest import Project

HOOK = {"kind": "webhook", "name": "ops", "config": {"url": "https://example.com/hook"}}
SECRET = "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
FIELDS = {"id", "kind", "name", "config", "secret_set", "status", "blocked_reason", "revision"} | {
    "created_at",
    "updated_at",
    "retry",
    "on_unknown",
    "failing_since",
}


async def test_a_new_webhook_shows_its_secret_once(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/destinations", json=HOOK)
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/destinations/{made['id']}"
    assert answer.headers["etag"] == '"1"'
    assert made.keys() == FIELDS | {"secret"}
    assert made.pop("secret").startswith("whsec_")
    expected = {**HOOK, "secret_set": True, "status": "active", "blocked_reason": None, "revision": 1}
    assert {name: made[name] for name in expected} == expected
    read = await client.get(f"/v1/destinations/{made['id']}")
    assert (read.status_code, read.headers["etag"]) == (200, '"1"')
    assert read.json() == made
    assert (await client.get("/v1/destinations")).json() == {"items": [made], "next_cursor": None}


async def test_a_secret_may_be_brought_along(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/destinations", json={**HOOK, "secret": SECRET})
    assert answer.json()["secret"] == SECRET


@pytest.mark.parametrize(
    ("body", "name", "config"),
    [
        ({"kind": "log"}, "log", {}),
        ({"kind": "email", "config": {"to": ["ada@example.com"]}}, "ada@example.com", None),
        ({"kind": "webhook", "config": {"url": "https://example.com/a?token=x"}}, "example.com", None),
        ({"kind": "log", "name": "Büro 🌱"}, "Büro 🌱", {}),
    ],
)
async def test_a_destination_has_a_name(
    client: httpx.AsyncClient, body: dict, name: str, config: dict | None
) -> None:
    made = (await client.post("/v1/destinations", json=body)).json()
    assert made["name"] == name
    assert made["config"] == (body["config"] if config is None else config)
    assert made["secret_set"] is (body["kind"] == "webhook")
    assert (made["secret"] is None) is (body["kind"] != "webhook")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": "new"}, {"name": "new"}),
        ({"config": {"url": "https://example.com/b"}}, {"config": {"url": "https://example.com/b"}}),
        ({"secret": SECRET}, {}),
        ({"retry": {"schedule": [60, 604800]}}, {"retry": {"schedule": [60, 604800]}}),
        ({"retry": {"schedule": []}}, {"retry": {"schedule": []}}),
        ({"on_unknown": "hold"}, {"on_unknown": "hold"}),
    ],
)
async def test_a_patch_changes_what_it_names_and_nothing_else(
    client: httpx.AsyncClient, changes: dict, expected: dict
) -> None:
    made = (await client.post("/v1/destinations", json=HOOK)).json()
    del made["secret"]
    answer = await client.patch(f"/v1/destinations/{made['id']}", json=changes)
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"2"'
    patched = answer.json()
    assert patched == {**made, **expected, "revision": 2, "updated_at": patched["updated_at"]}


@pytest.mark.parametrize("changes", [{}, {"name": "ops"}, {"config": HOOK["config"]}, {"status": "active"}])
async def test_a_patch_that_changes_nothing_makes_no_revision(
    client: httpx.AsyncClient, changes: dict
) -> None:
    made = (await client.post("/v1/destinations", json=HOOK)).json()
    del made["secret"]
    answer = await client.patch(f"/v1/destinations/{made['id']}", json=changes)
    assert answer.status_code == 200
    assert answer.json() == made


@pytest.mark.parametrize("name", ["name", "config", "secret", "status", "kind"])
async def test_a_patch_refuses_null_and_unknown_fields(client: httpx.AsyncClient, name: str) -> None:
    made = (await client.post("/v1/destinations", json=HOOK)).json()
    answer = await client.patch(f"/v1/destinations/{made['id']}", json={name: None})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == f"/{name}"


async def test_a_new_secret_keeps_the_one_before_it(
    client: httpx.AsyncClient, database: Database, project: Project
) -> None:
    made = (await client.post("/v1/destinations", json=HOOK)).json()
    for _ in range(3):
        await client.patch(f"/v1/destinations/{made['id']}", json={"secret": SECRET})
    async with database.transaction() as session:
        kept = await destinations.secrets_of(session, project.id, UUID(made["id"]))
    assert len(kept) == 2
    assert all(b"whsec" not in one for one in kept)


async def test_a_deleted_destination_is_gone(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/destinations", json={"kind": "log"})
    at = made.headers["location"]
    deleted = await client.delete(at)
    assert (deleted.status_code, deleted.content) == (204, b"")
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test")):
        assert (await client.request(method, at + path, json={})).status_code == 404
    assert (await client.get("/v1/destinations")).json()["items"] == []


async def test_a_test_message_is_a_delivery_without_a_notification(client: httpx.AsyncClient) -> None:
    made = (await client.post("/v1/destinations", json=HOOK)).json()
    answer = await client.post(f"/v1/destinations/{made['id']}/test")
    queued = answer.json()
    assert answer.status_code == 202
    expected = {"notification_id": None, "destination_id": made["id"], "trigger": "test", "status": "pending"}
    assert {name: queued[name] for name in expected} == expected
    found = (await client.get(f"/v1/deliveries/{queued['id']}")).json()
    assert found == {**queued, "attempts": []}


async def test_destinations_are_listed_by_kind(client: httpx.AsyncClient) -> None:
    for body in (HOOK, {"kind": "log"}, HOOK):
        await client.post("/v1/destinations", json=body)
    listed = await client.get("/v1/destinations", params={"kind": "webhook"})
    assert [one["kind"] for one in listed.json()["items"]] == ["webhook", "webhook"]
    assert (await client.get("/v1/destinations", params={"kind": "pigeon"})).json()["items"] == []


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/kind", "missing"),
        ({"kind": "pigeon"}, "/kind", "unknown_kind"),
        ({"kind": 1}, "/kind", "string_type"),
        ({"kind": "webhook"}, "/config/url", "missing"),
        ({"kind": "webhook", "config": []}, "/config", "dict_type"),
        ({"kind": "webhook", "config": None}, "/config", "dict_type"),
        ({"kind": "webhook", "config": {"url": 1}}, "/config/url", "string_type"),
        ({"kind": "webhook", "config": {"url": "x"}}, "/config/url", "invalid_url"),
        ({"kind": "webhook", "config": {"url": "http://10.0.0.1/"}}, "/config/url", "address_not_allowed"),
        ({**HOOK, "config": {**HOOK["config"], "method": "PUT"}}, "/config/method", "extra_forbidden"),
        (
            {**HOOK, "config": {**HOOK["config"], "headers": {"a b": "c"}}},
            "/config/headers",
            "invalid_header",
        ),
        ({**HOOK, "config": {**HOOK["config"], "headers": {"a": 1}}}, "/config/headers/a", "string_type"),
        ({"kind": "email", "config": {"to": []}}, "/config/to", "too_short"),
        ({"kind": "email", "config": {"to": ["ada"]}}, "/config/to", "invalid_email"),
        (
            {"kind": "email", "config": {"to": ["a@b.example\r\nBcc: c@d.example"]}},
            "/config/to",
            "invalid_email",
        ),
        ({"kind": "log", "config": {"x": 1}}, "/config/x", "extra_forbidden"),
        ({"kind": "log", "secret": SECRET}, "/secret", "not_signed"),
        ({**HOOK, "secret": "whsec_short"}, "/secret", "invalid_secret"),
        ({**HOOK, "secret": ""}, "/secret", "string_too_short"),
        ({**HOOK, "name": ""}, "/name", "string_too_short"),
        ({**HOOK, "name": "   "}, "/name", "string_pattern_mismatch"),
        ({**HOOK, "name": "n" * 201}, "/name", "string_too_long"),
        ({**HOOK, "colour": "red"}, "/colour", "extra_forbidden"),
    ],
    ids=str,
)
async def test_a_wrong_destination_is_refused_with_its_place(
    client: httpx.AsyncClient, body: dict, pointer: str, code: str
) -> None:
    answer = await client.post("/v1/destinations", json=body)
    assert answer.status_code == 422, answer.text
    assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [(pointer, code)]
    assert (await client.get("/v1/destinations")).json()["items"] == []


def _with_schedule(schedule: object) -> dict:
    return {**HOOK, "retry": {"schedule": schedule}}


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        (_with_schedule([0]), "/retry/schedule/0", "greater_than_equal"),
        (_with_schedule([-1]), "/retry/schedule/0", "greater_than_equal"),
        (_with_schedule([604801]), "/retry/schedule/0", "less_than_equal"),  # 7 days are 604800 s
        (_with_schedule([1.5]), "/retry/schedule/0", "int_type"),
        (_with_schedule(["5"]), "/retry/schedule/0", "int_type"),
        (_with_schedule([True]), "/retry/schedule/0", "int_type"),
        (_with_schedule([10**400]), "/retry/schedule/0", "less_than_equal"),
        (_with_schedule([60] * 21), "/retry/schedule", "too_long"),
        (_with_schedule(None), "/retry/schedule", "list_type"),
        ({**HOOK, "retry": {}}, "/retry/schedule", "missing"),
        ({**HOOK, "retry": [60]}, "/retry", "model_attributes_type"),
        ({**HOOK, "retry": {"schedule": [60], "jitter": 0}}, "/retry/jitter", "extra_forbidden"),
        ({**HOOK, "on_unknown": "drop"}, "/on_unknown", "literal_error"),
        ({**HOOK, "on_unknown": None}, "/on_unknown", "literal_error"),
    ],
    ids=str,
)
async def test_a_wrong_retry_policy_is_refused_with_its_place(
    client: httpx.AsyncClient, body: dict, pointer: str, code: str
) -> None:
    answer = await client.post("/v1/destinations", json=body)
    assert answer.status_code == 422, answer.text
    assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [(pointer, code)]


async def test_a_retry_policy_is_kept_until_null_takes_it_back(client: httpx.AsyncClient) -> None:
    body = {**HOOK, "retry": {"schedule": [60] * 20}, "on_unknown": "hold"}
    made = (await client.post("/v1/destinations", json=body)).json()
    assert (made["retry"], made["on_unknown"]) == ({"schedule": [60] * 20}, "hold")
    at = f"/v1/destinations/{made['id']}"
    assert (await client.patch(at, json={"name": "x"})).json()["retry"] == {"schedule": [60] * 20}
    assert (await client.patch(at, json={"retry": None})).json()["retry"] is None
    assert (await client.get(at)).json()["on_unknown"] == "hold"
