"""The embedded Valkey, for real."""

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from notifier.embedded import processes
from notifier.embedded.child import Child
from notifier.embedded.folder import DataFolder
from notifier.embedded.valkey import Valkey
from tests.servers import await_ready, wait_until


def start(folder: DataFolder) -> tuple[redis.Redis, Child]:
    server = Valkey(folder.valkey, folder.sockets)
    child = server.start(folder.places)
    await_ready(child, server.is_ready)
    return redis.Redis.from_url(server.url(), decode_responses=True), child


@pytest.fixture
def folder(data_dir: Path) -> Iterator[DataFolder]:
    """Yield an open data folder."""
    opened = DataFolder.open(data_dir)
    yield opened
    opened.close()


def test_a_restart_keeps_the_data(data_dir: Path) -> None:
    for expected in (1, 2):
        folder = DataFolder.open(data_dir)
        client, _ = start(folder)
        assert client.incr("starts") == expected
        processes.end_all(folder.places.run)
        folder.close()


def test_a_killed_server_starts_again_on_the_same_socket(folder: DataFolder) -> None:
    _, child = start(folder)
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: child.exit_code() is not None)
    client, _ = start(folder)
    assert client.ping()


def test_it_keeps_every_key_on_disk_and_listens_on_a_private_socket_only(folder: DataFolder) -> None:
    client, _ = start(folder)
    settings = client.config_get("*")
    assert (settings["appendonly"], settings["maxmemory-policy"]) == ("yes", "noeviction")
    assert settings["port"] == "0"
    assert stat.S_IMODE((folder.sockets / "valkey").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder.sockets / "valkey" / "socket").stat().st_mode) == 0o700
