"""What the log says of a request: enough to know who did what, nothing that is theirs."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import structlog
from structlog.testing import LogCapture

from tests.api.conftest import Create, Project


@pytest.fixture
def lines(app: object) -> Iterator[list[Any]]:
    """Yield the lines that are written from now on, with what is bound to the request."""
    before = structlog.get_config()["processors"]
    capture = LogCapture()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture])
    yield capture.entries
    structlog.configure(processors=before)


def requests(lines: list[Any]) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == "request.done"]


async def test_a_request_is_one_line_with_its_route_and_its_caller(
    client: httpx.AsyncClient, create: Create, project: Project, lines: list[Any]
) -> None:
    made = await create(title="hush-hush")
    await client.get(f"/v1/notifications/{made['id']}", params={"q": "hush-hush"})
    (_, line) = requests(lines)
    assert line.pop("duration_ms") >= 0
    assert line.pop("api_key")
    assert line == {
        "event": "request.done",
        "log_level": "info",
        "method": "GET",
        "route": "/v1/notifications/{notification_id}",
        "status": 200,
        "project_id": str(project.id),
    }
    assert "hush-hush" not in str(requests(lines))


async def test_a_stranger_s_line_names_nobody_and_no_path(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, lines: list[Any]
) -> None:
    await client.get("/v1/notifications")
    await anonymous.get("/v1/notifications")
    await anonymous.get("/secret-path")
    refused, lost = requests(lines)[1:]
    assert (refused["status"], refused["route"]) == (401, "/v1/notifications")
    assert (lost["status"], lost["route"]) == (404, None)
    assert "project_id" not in refused
    assert "api_key" not in lost


async def test_a_probe_that_finds_all_well_is_not_worth_a_line(
    anonymous: httpx.AsyncClient, lines: list[Any]
) -> None:
    await anonymous.get("/healthz")
    assert [line["log_level"] for line in requests(lines)] == ["debug"]
