"""A service of its own for the commands that speak to one."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests import servers
from tests.cli.importer import LIST, client
from tests.processes import open_roles
from tests.servers import free_port, wait_until


@pytest.fixture(scope="session")
async def url(
    servers_folder: Path, postgres_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """Yield the address of a service, as its processes run it."""
    database_url = await servers.copy_database(postgres_url, template)
    redis_url = servers.shared_urls(servers_folder)["redis"].replace("db=0", "db=62")
    port = free_port()
    with open_roles(tmp_path_factory.mktemp("import") / "roles", database_url, redis_url) as roles:
        roles.run("migrate")
        api = roles.start("api", PORT=port)
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(address) or api.exit_code() is not None, 60)
        yield address
    await servers.drop_database(postgres_url, database_url)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def clean(url: str) -> Iterator[str]:
    """Yield the service's address with no notification in it."""
    yield url
    with client(url) as api:
        while items := api.get(LIST, params={"limit": 100}).json()["items"]:
            for one in items:
                api.delete(f"{LIST}/{one['id']}")
