"""Bad input of every kind gets its problem document, and leaves nothing behind."""

import json
import re
from typing import Any

import httpx
import pytest

from tests.api.conftest import Create

PYDANTIC = re.compile(
    "[Ii]nput should|Extra inputs|[Uu]nable to parse|Value error,|Field required|should have|should match"
)
JSON = {"Content-Type": "application/json"}
GOOD: dict[str, Any] = {"title": "Water the plants", "schedule": "daily"}
CALENDAR = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "Europe/Berlin"}
NOWHERE = "01a20322-0000-7000-8000-000000000000"


def with_schedule(**changes: object) -> dict:
    return {"schedule": {**CALENDAR, **changes}}


def assert_problem(answer: httpx.Response, status: int, name: str) -> dict:
    """Assert that the answer is a whole problem document of this kind."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"urn:notifier:problem:{name}"
    assert problem["status"] == status
    assert problem["instance"] == answer.request.url.path
    assert problem["title"]
    assert problem["detail"]
    assert problem.keys() <= {"type", "title", "status", "detail", "instance", "errors"}
    assert not PYDANTIC.search(problem["detail"]), "in our own words"
    return problem


async def assert_nothing_stored(client: httpx.AsyncClient) -> None:
    for path in ("/v1/notifications", "/v1/destinations", "/v1/deliveries"):
        assert (await client.get(path)).json()["items"] == []


FIELDS: list[tuple[dict, str, str]] = [
    # null, of the wrong type
    ({"title": None}, "/title", "string_type"),
    ({"title": 1}, "/title", "string_type"),
    ({"title": ["x"]}, "/title", "string_type"),
    ({"body": None}, "/body", "string_type"),
    ({"body": {}}, "/body", "string_type"),
    ({"data": None}, "/data", "dict_type"),
    ({"data": []}, "/data", "dict_type"),
    ({"data": "x"}, "/data", "dict_type"),
    ({"external_id": 1}, "/external_id", "string_type"),
    ({"schedule": None}, "/schedule", "wrong_type"),
    ({"schedule": 1}, "/schedule", "wrong_type"),
    ({"schedule": []}, "/schedule", "wrong_type"),
    ({"start_at": 1}, "/start_at", "string_type"),
    # empty and too long
    ({"title": ""}, "/title", "string_too_short"),
    ({"title": " \t\n"}, "/title", "string_pattern_mismatch"),
    ({"title": "t" * 201}, "/title", "string_too_long"),
    ({"body": "b" * (64 * 1024 + 1)}, "/body", "string_too_long"),
    ({"external_id": ""}, "/external_id", "string_too_short"),
    ({"external_id": "e" * 201}, "/external_id", "string_too_long"),
    # unknown
    ({"colour": "red"}, "/colour", "extra_forbidden"),
    ({"a/b~c": 1}, "/a~1b~0c", "extra_forbidden"),
    ({"id": NOWHERE}, "/id", "extra_forbidden"),
    ({"status": "paused"}, "/status", "extra_forbidden"),
    # what a database cannot store
    ({"title": "a\x00b"}, "/title", "nul_character"),
    ({"body": "\x00"}, "/body", "nul_character"),
    ({"external_id": "\x00"}, "/external_id", "nul_character"),
    ({"data": {"a": ["\x00"]}}, "/data/a/0", "nul_character"),
    ({"data": {"\x00": 1}}, "/data", "nul_character"),
    ({"data": {"a": {"b\x00": 1}}}, "/data/a", "nul_character"),
    ({"to": ["log:\x00"]}, "/to/0", "nul_character"),
    ({"schedule": with_schedule(timezone="\x00")["schedule"]}, "/schedule/timezone", "nul_character"),
    ({"title": "\ud800"}, "/title", "invalid_unicode"),
    ({"data": {"\udfff": 1}}, "/data", "invalid_unicode"),
    ({"data": {"a": "\ud83d"}}, "/data/a", "invalid_unicode"),
    ({"data": {"a": float("nan")}}, "/data/a", "not_a_number"),
    ({"data": {"a": [float("inf")]}}, "/data/a/0", "not_a_number"),
    ({"data": {"a": float("-inf")}}, "/data/a", "not_a_number"),
    # schedules
    ({"schedule": "hourly"}, "/schedule", "invalid_choice"),
    ({"schedule": {}}, "/schedule/kind", "missing"),
    ({"schedule": {"kind": "lunar"}}, "/schedule/kind", "invalid_choice"),
    ({"schedule": {"kind": "interval"}}, "/schedule/every", "missing"),
    ({"schedule": {"kind": "interval", "every": "PT59S"}}, "/schedule/every", "duration_too_short"),
    ({"schedule": {"kind": "interval", "every": "P1M"}}, "/schedule/every", "variable_duration"),
    ({"schedule": {"kind": "interval", "every": "P9999999999D"}}, "/schedule/every", "duration_too_long"),
    ({"schedule": {"kind": "interval", "every": "daily", "x": 1}}, "/schedule/x", "unknown_field"),
    (with_schedule(timezone="Europe/Atlantis"), "/schedule/timezone", "unknown_timezone"),
    (with_schedule(timezone="CET"), "/schedule/timezone", "timezone_abbreviation"),
    (with_schedule(timezone="+02:00"), "/schedule/timezone", "timezone_offset"),
    (with_schedule(timezone="../../etc/passwd"), "/schedule/timezone", "unknown_timezone"),
    (with_schedule(timezone=""), "/schedule/timezone", "unknown_timezone"),
    (with_schedule(timezone=None), "/schedule/timezone", "missing"),
    (with_schedule(times=["25:00"]), "/schedule/times/0", "invalid_time"),
    (with_schedule(times=["09:00", "09:00"]), "/schedule/times/1", "duplicate"),
    (with_schedule(times=[]), "/schedule/times", "out_of_range"),
    (with_schedule(every=10**30), "/schedule/every", "out_of_range"),
    (with_schedule(end_at="2020-01-01T00:00:00Z"), "/schedule", "never_due"),
    (with_schedule(**{"a/b": 1}), "/schedule/a~1b", "unknown_field"),
    ({"start_at": "tomorrow"}, "/start_at", "invalid_instant"),
    ({"start_at": ""}, "/start_at", "invalid_instant"),
    ({"start_at": "2026-11-23T09:00:00"}, "/start_at", "offset_missing"),
    ({"start_at": "9999-12-31T23:59:59Z"}, "/start_at", "out_of_range"),
    # templates
    ({"title": "{{ name"}, "/title", "invalid_template"),
    ({"body": "{% if %}"}, "/body", "invalid_template"),
    ({"body": "{{ nobody }}"}, "/body", "invalid_template"),
    ({"body": "{{ data.deep }}"}, "/body", "invalid_template"),
    ({"body": "{% include 'x' %}"}, "/body", "invalid_template"),
    ({"data": {"slot": 1}}, "/data/slot", "reserved_key"),
]


@pytest.mark.parametrize(("changes", "pointer", "code"), FIELDS, ids=lambda value: ascii(value)[:50])
async def test_a_wrong_field_is_named_by_its_place(
    client: httpx.AsyncClient, changes: dict, pointer: str, code: str
) -> None:
    answer = await client.post("/v1/notifications", content=json.dumps({**GOOD, **changes}), headers=JSON)
    problem = assert_problem(answer, 422, "invalid-input")
    assert [(one["pointer"], one["code"]) for one in problem["errors"]] == [(pointer, code)]
    assert all(one["detail"] for one in problem["errors"])
    await assert_nothing_stored(client)


@pytest.mark.parametrize("name", GOOD)
async def test_what_is_needed_is_asked_for(client: httpx.AsyncClient, name: str) -> None:
    body = {other: value for other, value in GOOD.items() if other != name}
    problem = assert_problem(await client.post("/v1/notifications", json=body), 422, "invalid-input")
    assert [(one["pointer"], one["code"]) for one in problem["errors"]] == [(f"/{name}", "missing")]
    await assert_nothing_stored(client)


async def test_all_wrong_fields_are_named_at_once(client: httpx.AsyncClient) -> None:
    body = {"title": "", "schedule": "daily", "data": [], "colour": "red", "to": ["log:", 1]}
    answer = await client.post("/v1/notifications", json=body)
    problem = assert_problem(answer, 422, "invalid-input")
    assert {one["pointer"] for one in problem["errors"]} == {"/title", "/data", "/colour", "/to/1"}


BODIES: list[tuple[bytes, dict, int, str]] = [
    (b"{", JSON, 400, "malformed-json"),
    (b"{'title': 1}", JSON, 400, "malformed-json"),
    (b'{"title": "x", "schedule": "daily",}', JSON, 400, "malformed-json"),
    (b'{"title": "\xff"}', JSON, 400, "malformed-json"),
    (b'\xff\xfe{"title": "x"}', JSON, 400, "malformed-json"),
    (b'{"title": "x" "schedule": "daily"}', JSON, 400, "malformed-json"),
    (b'{"data": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", JSON, 400, "malformed-json"),
    (b'{"data": {"a": ' * 100 + b"1" + b"}}" * 100, JSON, 422, "invalid-input"),
    (b'{"data": {"a": ' + b"9" * 5_000 + b"}}", JSON, 400, "malformed-json"),
    (b'{"data": {"a": 1e999}}', JSON, 422, "invalid-input"),
    (b"", JSON, 422, "invalid-input"),
    (b"", {}, 422, "invalid-input"),
    (b"null", JSON, 422, "invalid-input"),
    (b"[]", JSON, 422, "invalid-input"),
    (b'"daily"', JSON, 422, "invalid-input"),
    (b"1", JSON, 422, "invalid-input"),
    (b"true", JSON, 422, "invalid-input"),
    (b"title=x", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported-media-type"),
    (json.dumps(GOOD).encode(), {"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
    (json.dumps(GOOD).encode(), {"Content-Type": "nonsense"}, 415, "unsupported-media-type"),
    (json.dumps(GOOD).encode(), {"Content-Type": ""}, 415, "unsupported-media-type"),
    (json.dumps({**GOOD, "body": "b" * 2**21}).encode(), JSON, 413, "too-large"),
    (b" " * 2**21, JSON, 413, "too-large"),
]


@pytest.mark.parametrize("path", ["/v1/notifications", "/v1/destinations"])
@pytest.mark.parametrize(("body", "headers", "status", "name"), BODIES, ids=lambda value: str(value)[:30])
async def test_a_body_that_is_no_object_is_refused(
    client: httpx.AsyncClient, path: str, body: bytes, headers: dict, status: int, name: str
) -> None:
    answer = await client.post(path, content=body, headers=headers)
    assert_problem(answer, status, name)
    await assert_nothing_stored(client)


async def test_a_body_without_a_length_is_measured_too(client: httpx.AsyncClient) -> None:
    async def endless() -> Any:
        for _ in range(64):
            yield b" " * 2**16

    answer = await client.post("/v1/notifications", content=endless(), headers=JSON)
    assert_problem(answer, 413, "too-large")


async def test_the_largest_body_is_taken(client: httpx.AsyncClient) -> None:
    body = {**GOOD, "body": "b" * 64 * 1024, "title": "t" * 200, "external_id": "e" * 200}
    assert (await client.post("/v1/notifications", json=body)).status_code == 201


@pytest.mark.parametrize("what", ["notifications", "destinations", "deliveries"])
@pytest.mark.parametrize(
    "name",
    [NOWHERE, "1", "x" * 5000, "%00", "%ff", "%ed%a0%80", "..%2f..", "%F0%9F%8C%B1", "null", "{id}", "%20"],
    ids=lambda name: name[:10],
)
async def test_an_unknown_id_is_not_found(client: httpx.AsyncClient, what: str, name: str) -> None:
    answer = await client.get(
        httpx.URL(f"http://notifier.test/v1/{what}/", raw_path=f"/v1/{what}/{name}".encode())
    )
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:notifier:problem:not-found"


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/v1/nothing", 404, "not-found"),
        ("GET", "/v2/notifications", 404, "not-found"),
        ("PUT", "/v1/notifications", 405, "method-not-allowed"),
        ("DELETE", "/v1/notifications", 405, "method-not-allowed"),
        ("TRACE", "/v1/notifications", 405, "method-not-allowed"),
        ("POST", "/v1/deliveries", 405, "method-not-allowed"),
        ("DELETE", f"/v1/deliveries/{NOWHERE}", 405, "method-not-allowed"),
        ("GET", f"/v1/notifications/{NOWHERE}/send", 405, "method-not-allowed"),
        ("POST", "/healthz", 405, "method-not-allowed"),
    ],
)
async def test_what_is_not_offered_is_said_to_be(
    client: httpx.AsyncClient, method: str, path: str, status: int, name: str
) -> None:
    answer = await client.request(method, path)
    assert_problem(answer, status, name)
    assert ("allow" in answer.headers) is (status == 405)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/notifications", "GET, POST"),
        ("PUT", f"/v1/notifications/{NOWHERE}", "DELETE, GET, PATCH"),
        ("POST", "/v1/notifications/by-external-id/x", "GET, PUT"),
    ],
)
async def test_a_method_that_is_not_offered_is_answered_with_all_that_are(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    assert (await client.request(method, path)).headers["allow"] == allowed


async def test_where_there_are_only_files_a_post_is_told_so(client: httpx.AsyncClient) -> None:
    answer = await client.post("/static-offline-docs/x.js")
    assert assert_problem(answer, 405, "method-not-allowed")["detail"] == "This path takes GET, HEAD."
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("send", {"reset_clock": "perhaps"}, "/reset_clock"),
        ("send", {"reset_clock": 0}, "/reset_clock"),
        ("send", {"reset_clock": "false"}, "/reset_clock"),
        ("send", {"reset_clock": None}, "/reset_clock"),
        ("send", {"now": True}, "/now"),
        ("pause", {"reason": "r" * 501}, "/reason"),
        ("pause", {"reason": "\x00"}, "/reason"),
        ("pause", {"until": "2020-11-23T09:00:00Z"}, "/until"),
        ("pause", {"until": "tomorrow"}, "/until"),
        ("pause", {"until": "2199-01-01T00:00:00"}, "/until"),
        ("pause", {"until": "2300-01-01T00:00:00Z"}, "/until"),
        ("pause", {"until": 1}, "/until"),
        ("pause", {"cancel_pending": 1}, "/cancel_pending"),
        ("pause", {"paused_by": "me"}, "/paused_by"),
        ("pause", [], ""),
        ("resume", {"catch_up": "yes"}, "/catch_up"),
        ("resume", {"catch_up": None}, "/catch_up"),
        ("resume", {"until": "2199-01-01T00:00:00Z"}, "/until"),
        ("resume", "now", ""),
    ],
)
async def test_a_wrong_command_does_nothing(
    client: httpx.AsyncClient, create: Create, path: str, body: object, pointer: str
) -> None:
    made = await create()
    answer = await client.post(f"/v1/notifications/{made['id']}/{path}", json=body)
    problem = assert_problem(answer, 422, "invalid-input")
    assert problem["errors"][0]["pointer"] == pointer
    assert (await client.get(f"/v1/notifications/{made['id']}")).json() == made
    assert (await client.get("/v1/deliveries")).json()["items"] == []


@pytest.mark.parametrize(("changes", "pointer", "code"), FIELDS, ids=lambda value: ascii(value)[:50])
async def test_an_edit_is_checked_as_a_create_is(
    client: httpx.AsyncClient, create: Create, changes: dict, pointer: str, code: str
) -> None:
    made = await create()
    at = f"/v1/notifications/{made['id']}"
    answer = await client.patch(at, content=json.dumps(changes), headers=JSON)
    problem = assert_problem(answer, 422, "invalid-input")
    assert [(one["pointer"], one["code"]) for one in problem["errors"]] == [(pointer, code)]
    assert (await client.get(at)).json() == made
