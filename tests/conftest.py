"""Fixtures that every test may use: real servers, a fresh database, an empty queue."""

import faulthandler
import gc
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests import servers

FOLDER = pytest.StashKey[Path]()
GUARD = pytest.StashKey[Any]()
TERMINAL = pytest.StashKey[int]()
TEARDOWN_SECONDS = 120.0


def pytest_configure(config: pytest.Config) -> None:
    """Make the session's folder, once; xdist's workers are told where it is."""
    config.stash[TERMINAL] = os.dup(sys.stderr.fileno())  # not captured yet
    worker_input = getattr(config, "workerinput", None)
    if worker_input:
        config.stash[FOLDER] = Path(worker_input["servers_folder"])
    else:
        config.stash[FOLDER], config.stash[GUARD] = servers.open_session()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deal out what is marked `long` so that each of xdist's processes begins with its share of it.

    Each gets a run of neighbours; what takes long at the end of one would keep all others waiting.
    """
    hands = getattr(config, "workerinput", {}).get("workercount", 1)
    long = [item for item in items if item.get_closest_marker("long")]
    short = [item for item in items if not item.get_closest_marker("long")]
    items[:] = []
    for hand in range(hands):
        share = (len(long) + len(short) - len(items)) // (hands - hand)
        first = long[hand::hands]
        items += first + [short.pop(0) for _ in range(max(0, min(share - len(first), len(short))))]
    items += short


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a new xdist worker where the session's folder is."""
    node.workerinput["servers_folder"] = str(node.config.stash[FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the servers; a pytest that is killed leaves this to the guard."""
    if GUARD in config.stash:
        servers.close_session(config.stash[FOLDER], config.stash[GUARD])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """End a process whose teardown hangs: a test that fails takes away the time-outs that pytest has set."""
    terminal = item.config.stash[TERMINAL]
    faulthandler.dump_traceback_later(TEARDOWN_SECONDS, exit=True, file=terminal)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session")
def servers_folder(pytestconfig: pytest.Config) -> Path:
    """Return the folder that all processes of this test session share."""
    return pytestconfig.stash[FOLDER]


@pytest.fixture(scope="session")
def postgres_url(servers_folder: Path) -> str:
    """Return the address of the server's maintenance database, as its superuser."""
    return servers.shared_urls(servers_folder)["postgres"]


@pytest.fixture(scope="session")
def template(servers_folder: Path, postgres_url: str) -> str:
    """Return the name of a database that has been migrated to the newest schema."""
    return servers.migrated_template(servers_folder, postgres_url)


@pytest.fixture
async def database_url(postgres_url: str, template: str) -> AsyncIterator[str]:
    """Yield the address of a migrated, empty database that only this test uses."""
    url = await servers.copy_database(postgres_url, template)
    yield url
    await servers.drop_database(postgres_url, url)


@pytest.fixture
async def empty_database_url(postgres_url: str) -> AsyncIterator[str]:
    """Yield the address of a database without any schema that only this test uses."""
    url = await servers.copy_database(postgres_url, "template1")
    yield url
    await servers.drop_database(postgres_url, url)


@pytest.fixture
def redis_url(servers_folder: Path) -> Iterator[str]:
    """Yield the address of an empty Redis database that only this test process uses."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % servers.REDIS_DATABASES
    url = servers.shared_urls(servers_folder)["redis"].replace("db=0", f"db={number}")
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Leave nothing to the garbage collector: what is gone afterwards was let go of by everybody."""
    gc.disable()
    yield
    gc.enable()
