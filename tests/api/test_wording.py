"""What is wrong is said in our own words, for each field, in one sentence."""

import json
from pathlib import Path

import httpx
import pytest

from tests.api.test_bad_input import GOOD, assert_problem, with_schedule


def example_of_errors() -> dict:
    page = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
    found: dict = json.loads(page.partition("```json\n")[2].partition("```")[0])
    return found


async def test_the_example_of_the_page_about_errors_is_what_is_answered(client: httpx.AsyncClient) -> None:
    rule = {"kind": "calendar", "frequency": "daily", "times": ["09:00"]}
    answer = await client.post("/v1/notifications", json={"title": "Stand-up", "schedule": rule})
    assert answer.json() == example_of_errors()


async def test_several_details_are_joined_into_one_sentence(client: httpx.AsyncClient) -> None:
    body = {"title": "Stand-up", **with_schedule(times=["24:00"], timezone="CET")}
    detail = (await client.post("/v1/notifications", json=body)).json()["detail"]
    assert "23:59; schedule/timezone: 'CET' is" in detail
    assert detail.endswith(".")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (None, "The body is required."),
        ([], "This must be an object."),
        ({**GOOD, "title": 1}, "title: This must be a string."),
        ({**GOOD, "title": ""}, "title: This must not be empty."),
        ({**GOOD, "title": " "}, "title: This must not be blank."),
        ({**GOOD, "title": "t" * 201}, "title: This may have at most 200 characters."),
        ({**GOOD, "titel": "x", "data": []}, "data: This must be an object; titel: This is not known here."),
        ({**GOOD, "to": "log:"}, "to: This must be a list."),
        ({**GOOD, "to": []}, "to: This must not be empty."),
        ({**GOOD, "to": ["log:"] * 51}, "to: This is too long: at most 50."),
        ({**GOOD, "schedule": {"kind": "interval"}}, "schedule/every: This is required."),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_is_wrong_is_said_in_plain_words(
    client: httpx.AsyncClient, body: object, detail: str
) -> None:
    answer = await client.post("/v1/notifications", json=body)
    assert answer.json()["detail"] == detail


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/v1/notifications?limit=0", "limit: This must be 1 or more."),
        ("/v1/notifications?limit=101", "limit: This must be 100 or less."),
        ("/v1/notifications?limit=ten", "limit: This must be an integer."),
        (
            "/v1/notifications?status=late",
            "status: This must be 'active', 'paused', 'blocked' or 'completed'.",
        ),
        (f"/v1/notifications?q={'x' * 201}", "q: This is too long: at most 200."),
        ("/v1/notifications?limit=" + "9" * 5000, "limit: This must be an integer."),
        ("/v1/deliveries?notification_id=1", "notification_id: This must be an id, such as "),
        ("/v1/nothing", "There is no such path; `/docs` lists those there are."),
        ("/v1/notifications/x/send", "This path takes POST."),
    ],
)
async def test_what_is_wrong_with_a_call_is_said_in_plain_words(
    client: httpx.AsyncClient, path: str, detail: str
) -> None:
    assert (await client.get(path)).json()["detail"].startswith(detail)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"kind": "webhook", "config": {}}, "config/url: This is required."),
        (
            {"kind": "webhook", "config": {"url": "https://a.io", "x": 1}},
            "config/x: This is not known here.",
        ),
        ({"kind": "email", "config": {"to": []}}, "config/to: This must not be empty."),
        ({"kind": "pigeon", "config": {}}, "kind: This must be one of: log, webhook, email."),
    ],
)
async def test_what_is_wrong_with_a_destination_is_said_in_plain_words(
    client: httpx.AsyncClient, body: dict, detail: str
) -> None:
    problem = assert_problem(await client.post("/v1/destinations", json=body), 422, "invalid-input")
    assert problem["detail"] == detail


async def test_of_very_many_wrong_fields_the_first_are_listed(client: httpx.AsyncClient) -> None:
    body = {**GOOD, **{f"extra-{number}": 1 for number in range(20_000)}}
    problem = assert_problem(await client.post("/v1/notifications", json=body), 422, "invalid-input")
    assert len(problem["errors"]) == 100
    assert problem["detail"].endswith("; and 19980 more.")
