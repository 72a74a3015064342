"""Whatever a client sends, within the OpenAPI document or against it, the API answers as documented."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4
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
from notifier.storage import access
from notifier.storage.engine import Database
from tests import servers
from tests.api.conftest import Project, settings_for

EXAMPLES = 10
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
    """Return a key with which every call may be made: the operator's."""
    database = Database(database_url, pool_size=1)
    try:
        async with database.transaction() as session:
            await access.ensure_default_project(session)
        return await Project(access.DEFAULT_PROJECT, database).new_key("admin")
    finally:
        await database.aclose()


def existing(names: Collection[str], target: dict[str, Any]) -> dict[str, str]:
    """Return the ids of something new for each name of a path's parameters."""
    with asgi.get_client(target["app"]) as client:
        made = post(client, target, "/v1/notifications", {"title": "x", "schedule": "daily"})
        at = f"/v1/notifications/{made['id']}"
        makers: dict[str, Callable[[], dict]] = {
            "notification_id": lambda: made,
            "exception_id": lambda: post(
                client, target, f"{at}/exceptions", {"slot": made["next_due_at"], "action": "skip"}
            ),
            "destination_id": lambda: post(
                client,
                target,
                "/v1/destinations",
                {"kind": "webhook", "config": {"url": "https://a.example"}},
            ),
            "delivery_id": lambda: post(client, target, f"{at}/send", {})["deliveries"][0],
            "key_id": lambda: post(client, target, "/v1/keys", {"name": str(uuid4()), "scopes": ["read"]}),
        }
        return {name: str(makers[name]()["id"]) for name in names if name in makers}


def post(client: Any, target: dict[str, Any], path: str, body: dict) -> dict:
    answer = client.post(f"http://testserver{path}", json=body, headers=target["headers"])
    assert answer.ok, answer.text
    made: dict = answer.json()
    return made


REFUSALS = [400, 404, 405, 409, 412, 415, 422]
CONFIG = SchemathesisConfig.from_dict(
    {
        # every call carries the key of the fixture
        "generation": {"mode": "all", "with-security-parameters": False},
        # 412 is a refusal too, which the tool does not know: If-Match is looked at before the schedule
        "checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}},
        # what is wrong in an item is told of that item, in a 200
        "operations": [
            {
                "include-path": "/v1/notifications/bulk",
                "checks": {"negative_data_rejection": {"expected-statuses": [200, *REFUSALS]}},
            }
        ],
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
    # most ids name something; which ones depends on the case alone, so that every run is the same
    named = crc32(repr(sorted(case.path_parameters.items())).encode()) % 4
    if case.path_parameters and named and case.meta.components[ParameterLocation.PATH].mode.is_positive:
        case.path_parameters = {**case.path_parameters, **existing(case.path_parameters, target)}
    case.call_and_validate(checks=ALWAYS, **target)
