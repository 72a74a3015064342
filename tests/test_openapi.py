"""The OpenAPI document is whole and true, and the docs page works without the internet."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.routing import APIRoute

from notifier.api.schemas.examples import CREATE_EXAMPLES, EXAMPLES
from notifier.api.schemas.notification import NotificationCreate
from notifier.app import create_app
from notifier.domain import schedule
from notifier.settings import Settings

NOWHERE = {"database_url": "postgresql://nowhere", "redis_url": "redis://nowhere"}
APP: FastAPI = create_app(Settings(**NOWHERE, secret_key="a-key-for-tests-only-0123456789abcdef"))
DOCUMENT: dict[str, Any] = APP.openapi()
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
PROBLEM = {"$ref": "#/components/schemas/Problem"}


def walk(value: Any) -> Iterator[Any]:
    """Yield every object of the document."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(item)


def resolve(reference: str) -> Any:
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def contents(operation: dict) -> list[dict]:
    """Return the JSON media types of a call: of its request, of its answers."""
    carriers = [operation.get("requestBody", {}), *operation["responses"].values()]
    return [media for carrier in carriers for media in carrier.get("content", {}).values()]


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of an application whose servers are away: the docs need none of them."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(APP), base_url="http://notifier.test"
    ) as client:
        yield client


def test_the_document_is_valid() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()


def test_every_reference_leads_somewhere() -> None:
    references = [one["$ref"] for one in walk(DOCUMENT) if isinstance(one.get("$ref"), str)]
    assert len(references) > 50
    assert all(isinstance(resolve(one), dict) for one in references)


def test_every_route_is_documented() -> None:
    routes = {
        f"{method} {route.path}"
        for route in APP.routes
        if isinstance(route, APIRoute) and route.include_in_schema
        for method in route.methods
    }
    assert len(OPERATIONS) >= len(routes)
    assert {"POST /v1/notifications", "GET /v1/deliveries", "GET /readyz"} <= OPERATIONS.keys()


def test_every_call_has_a_readable_name_of_its_own() -> None:
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+)+", name)] == []


@pytest.mark.parametrize("call", OPERATIONS)
def test_a_call_says_what_it_does(call: str) -> None:
    operation = OPERATIONS[call]
    assert len(operation["summary"]) > 5
    assert operation["description"].startswith(operation["summary"] + "."), "a whole sentence"
    assert operation["tags"]


@pytest.mark.parametrize("call", OPERATIONS)
def test_a_call_has_examples_of_its_request_and_its_answers(call: str) -> None:
    for media in contents(OPERATIONS[call]):
        schema = media["schema"]
        options = schema.get("anyOf", [schema])
        examples = [resolve(one["$ref"]).get("examples") for one in options if "$ref" in one]
        assert examples, f"{call} has a shape without a name: {schema}"
        assert all(examples), f"{call} has no example of {schema}"


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() & DOCUMENT["components"]["schemas"].keys()))
def test_every_example_is_true(name: str) -> None:
    rule = jsonschema_rs.validator_for(
        {"$ref": f"#/components/schemas/{name}", **DOCUMENT}, validate_formats=True
    )
    for example in EXAMPLES[name]:
        rule.validate(example)


@pytest.mark.parametrize("name", CREATE_EXAMPLES)
def test_every_named_body_of_a_new_notification_can_be_sent_as_it_is(name: str) -> None:
    (media,) = OPERATIONS["POST /v1/notifications"]["requestBody"]["content"].values()
    value = media["examples"][name]["value"]
    jsonschema_rs.validator_for({**media["schema"], **DOCUMENT}, validate_formats=True).validate(value)
    body = NotificationCreate.model_validate_json(json.dumps(value)).model_dump()
    assert schedule.parse(body["schedule"])


def test_a_summary_says_the_whole_of_it() -> None:
    for call, summary in (
        ("PUT /v1/notifications/by-external-id/{external_id}", "Create or replace"),
        ("POST /v1/deliveries/held", "Release or skip what is held"),
        ("POST /v1/notifications/{notification_id}/exceptions", "Change one coming slot"),
    ):
        assert OPERATIONS[call]["summary"].startswith(summary)


@pytest.mark.parametrize("call", [call for call in OPERATIONS if "/v1/" in call])
def test_a_call_documents_its_key_and_its_problems(call: str) -> None:
    operation = OPERATIONS[call]
    assert operation["security"] == [{"ApiKey": []}]
    errors = {code: answer for code, answer in operation["responses"].items() if code >= "4"}
    assert {"401", "403", "422", "503"} <= errors.keys()
    # a PUT makes what it does not find
    assert ("404" in errors) is ("{" in call and not call.startswith("PUT"))
    assert ({"400", "413", "415"} <= errors.keys()) is ("requestBody" in operation)
    for answer in errors.values():
        assert answer["content"] == {"application/problem+json": {"schema": PROBLEM}}


def test_keys_are_documented() -> None:
    scheme = DOCUMENT["components"]["securitySchemes"]["ApiKey"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert "API key" in scheme["description"]


def test_no_field_of_a_patch_pretends_to_have_a_default() -> None:
    for name in ("NotificationUpdate", "DestinationUpdate"):
        fields = DOCUMENT["components"]["schemas"][name]["properties"]
        assert not any("default" in field for field in fields.values())


async def test_the_docs_page_and_all_that_it_loads_come_from_the_service(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/docs")
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]
    links = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)["']""", page.text)
    assert len(links) >= 4
    for link in links:
        assert link.startswith("/"), link
        loaded = await browser.get(link)
        assert loaded.status_code == 200, link
        assert loaded.content
    assert not re.search(r"""["'(]\s*(?:https?:)?//""", page.text)


async def test_the_first_page_leads_to_the_docs(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


async def test_the_document_is_served(browser: httpx.AsyncClient) -> None:
    assert (await browser.get("/openapi.json")).json() == DOCUMENT
