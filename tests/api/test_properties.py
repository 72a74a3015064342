"""Whatever a client sends, within the OpenAPI document or against it, the API answers as documented."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import seed as hypothesis_seed
from schemathesis import Case
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.python import asgi

from notifier.app import create_app
from notifier.storage.engine import Database
from tests import servers
from tests.api.conftest import new_project, settings_for

EXAMPLES = 20
"""Cases of each call. Raise it for a longer hunt; the seed makes every run the same."""

SEED = 20261122

load_all_checks()
ALWAYS = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "response_headers_conformance",
        "negative_data_rejection",
    ]
)


async def make_key(database_url: str) -> str:
    """Return a key of a new project."""
    database = Database(database_url, pool_size=1)
    try:
        return await (await new_project(database)).new_key("read", "write")
    finally:
        await database.aclose()


def existing(name: str, target: dict[str, Any]) -> str:
    """Return the id of a new notification, destination or delivery."""
    with asgi.get_client(target["app"]) as client:
        made = post(client, target, "/v1/notifications", {"title": "x", "schedule": "daily"})
        if name == "destination_id":
            made = post(
                client,
                target,
                "/v1/destinations",
                {"kind": "webhook", "config": {"url": "https://a.example"}},
            )
        if name == "delivery_id":
            (made,) = post(client, target, f"/v1/notifications/{made['id']}/send", {})["deliveries"]
    return str(made["id"])


def post(client: Any, target: dict[str, Any], path: str, body: dict) -> dict:
    answer = client.post(f"http://testserver{path}", json=body, headers=target["headers"])
    assert answer.ok, answer.text
    made: dict = answer.json()
    return made


CONFIG = SchemathesisConfig.from_dict(
    {
        # every call carries the key of the fixture
        "generation": {"mode": "all", "with-security-parameters": False},
        # 412 is a refusal too, which the tool does not know: If-Match is looked at before the schedule
        "checks": {"negative_data_rejection": {"expected-statuses": [400, 404, 405, 409, 412, 415, 422]}},
    }
)
# Only for its document: it connects to nothing, the calls go to the application of the fixture.
NOWHERE = create_app(settings_for("postgresql://nowhere", "redis://nowhere"))
api = schemathesis.openapi.from_asgi("/openapi.json", NOWHERE, config=CONFIG)


@pytest.fixture(scope="module")
def target(servers_folder: Path, postgres_url: str, template: str) -> Iterator[dict[str, Any]]:
    """Yield what a call needs: an application with a database of its own, and a key."""
    url = servers.run_apart(servers.copy_database(postgres_url, template))
    key = servers.run_apart(make_key(url))
    redis_url = servers.shared_urls(servers_folder)["redis"].replace("db=0", "db=62")
    yield {"app": create_app(settings_for(url, redis_url)), "headers": {"Authorization": f"Bearer {key}"}}
    servers.run_apart(servers.drop_database(postgres_url, url))


@api.parametrize()
@hypothesis_seed(SEED)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_documented(case: Case, target: dict[str, Any]) -> None:
    for name, value in case.path_parameters.items():
        # most ids name something; which ones depends on the case alone, so that every run is the same
        if crc32(repr(value).encode()) % 4 and case.meta.components[ParameterLocation.PATH].mode.is_positive:
            case.path_parameters = {name: existing(name, target)}
    case.call_and_validate(checks=ALWAYS, **target)
