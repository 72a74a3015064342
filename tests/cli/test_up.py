"""`notifier up`: the whole service as its users start it, and what it says when it cannot start."""

import fcntl
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from notifier.embedded import sockets
from notifier.embedded.processes import end_all, is_held
from tests.servers import free_port, wait_until

CHILDREN = ("postgres", "valkey", "api", "scheduler", "worker")


class Up:
    """A running `notifier up`."""

    def __init__(self, data_dir: Path, *options: str, **settings: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = data_dir.with_name("output")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFIER_")}
        command = [sys.executable, "-m", "notifier", "up", "--port", str(self.port)]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--data-dir", str(data_dir), *options],
                env={**kept, "NO_COLOR": "1", **settings},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.output.read_text()

    def await_ready(self) -> "Up":
        wait_until(lambda: self.is_told() or self.process.poll() is not None, 90)
        assert self.process.poll() is None, self.said()
        return self

    def is_told(self) -> bool:
        """Whether all that a ready `up` says is there: the line to paste comes last, some writes later."""
        return "notifier is ready" in self.said() and re.search(r"^curl .*\n", self.said(), re.M) is not None

    def running(self) -> set[str]:
        return {name for name in CHILDREN if is_held(self.data_dir / "run" / f"{name}.lock")}

    def stop(self) -> str:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(100) == 0, self.said()  # as soon as it ends
        return self.said()

    def get(self, path: str) -> object:
        key = (self.data_dir / "api-key").read_text().strip()
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """Yield the path of a data folder in a private home; end whatever a failed test leaves there."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    yield home / ".notifier"
    if (home / ".notifier" / "run").exists():
        end_all(home / ".notifier" / "run", hurried=lambda: True)
        sockets.remove(home / ".notifier" / "run")


needs_curl = pytest.mark.skipif(
    shutil.which("curl") is None, reason="curl is not installed, which the documented commands call"
)


def refused(data_dir: Path, *options: str, **settings: str) -> str:
    """Run an `up` that cannot start; return its message, which has to be the only line."""
    up = Up(data_dir, *options, **settings)
    assert up.process.wait(60) == 1
    lines = up.said().splitlines()
    assert len(lines) == 1, lines
    assert up.running() == set()
    return lines[0].removeprefix("Error: ")


@pytest.mark.long
@pytest.mark.timeout(300)
def test_it_comes_back_after_everything_was_killed(data_dir: Path) -> None:
    up = Up(data_dir).await_ready()
    for name in CHILDREN:
        found = re.search(r'"pid": (\d+)', (data_dir / "run" / f"{name}.lock").read_text())
        assert found
        os.kill(int(found[1]), signal.SIGKILL)
    os.kill(up.process.pid, signal.SIGKILL)
    up.process.wait()
    Up(data_dir).await_ready().stop()


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_killed_child_is_reported_and_comes_back(data_dir: Path) -> None:
    up = Up(data_dir).await_ready()
    for name in ("postgres", "api"):
        found = re.search(r'"pid": (\d+)', (data_dir / "run" / f"{name}.lock").read_text())
        assert found
        os.kill(int(found[1]), signal.SIGKILL)
    wait_until(lambda: "api runs again" in up.said() and "postgres runs again" in up.said(), 90)
    assert "api was ended by SIGKILL" in up.said()
    wait_until(lambda: answers(up), 60)
    up.stop()


def answers(up: Up) -> bool:
    try:
        return bool(up.get("/v1/notifications"))
    except (OSError, http.client.HTTPException):
        return False


def test_given_servers_are_used_instead_of_embedded_ones(
    data_dir: Path, empty_database_url: str, redis_url: str
) -> None:
    up = Up(data_dir, NOTIFIER_DATABASE_URL=empty_database_url, NOTIFIER_REDIS_URL=redis_url).await_ready()
    assert up.running() == {"api", "scheduler", "worker"}
    assert not (data_dir / "postgres").exists()
    up.stop()


def test_a_second_up_on_the_same_folder_is_refused(data_dir: Path) -> None:
    data_dir.mkdir()
    with (data_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        message = refused(data_dir)
    assert message == f"Another `notifier up` (process 4711) already runs on the data folder {data_dir}"


def test_a_taken_port_is_refused(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refused(data_dir, "--port", str(port))
    assert message.startswith(f"Port {port} is taken")


def test_a_port_that_is_none_is_wrong_usage(data_dir: Path) -> None:
    up = Up(data_dir, "--port", "99999")
    assert up.process.wait(30) == 2
    assert not data_dir.exists()


def test_a_file_where_the_folder_should_be_is_refused(data_dir: Path) -> None:
    data_dir.touch()
    up = Up(data_dir)
    assert up.process.wait(30) == 1
    assert up.said() == f"Error: Cannot use the data folder {data_dir}: it is a file\n"


def test_a_folder_that_cannot_be_written_is_refused(data_dir: Path) -> None:
    data_dir.mkdir()
    # Permissions do not stop root; a folder that nobody can make does.
    place = Path("/proc/notifier") if os.geteuid() == 0 and Path("/proc").exists() else data_dir / "new"
    data_dir.chmod(0o500)
    up = Up(data_dir, "--data-dir", str(place))
    assert up.process.wait(30) == 1
    assert up.said().startswith(f"Error: Cannot use the data folder {place}: ")
    assert len(up.said().splitlines()) == 1
    data_dir.chmod(0o700)


@pytest.mark.parametrize(
    ("setting", "url", "said"),
    [
        (
            "NOTIFIER_DATABASE_URL",
            "mysql://127.0.0.1/x",
            "NOTIFIER_DATABASE_URL must begin with postgresql://",
        ),
        ("NOTIFIER_DATABASE_URL", "postgresql://ada@127.0.0.1:1/x", "NOTIFIER_DATABASE_URL: cannot reach"),
        ("NOTIFIER_REDIS_URL", "http://127.0.0.1", "NOTIFIER_REDIS_URL must begin with redis://"),
        ("NOTIFIER_REDIS_URL", "redis://127.0.0.1:1/0", "NOTIFIER_REDIS_URL: cannot reach Redis"),
    ],
)
def test_a_wrong_url_is_refused_in_one_line(data_dir: Path, setting: str, url: str, said: str) -> None:
    assert refused(data_dir, **{setting: url}).startswith(said)


def test_a_wrong_setting_ends_the_start_and_is_named(data_dir: Path) -> None:
    up = Up(data_dir, NOTIFIER_LOG_LEVEL="loud")
    assert up.process.wait(60) == 1
    assert "NOTIFIER_LOG_LEVEL" in up.said()
    assert up.running() == set()
