"""Every command of the README works as it stands there."""

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_up import Up, needs_curl
from tests.servers import wait_until

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
CALLS = [block for block in BLOCKS if "curl" in block or "KEY=" in block]
FIRST, *REST = CALLS


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """Start what `make run` starts."""
    running = Up(tmp_path / "data").await_ready()
    yield running
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(100) == 0


@needs_curl
def run(up: Up, *blocks: str) -> list[dict]:
    """Run what a reader would paste, line by line as it stands there; return the answers."""
    script = "\n".join(blocks).replace("http://127.0.0.1:8000", up.url).replace(".notifier", str(up.data_dir))
    script = script.replace("curl -sS", "curl -sS --fail-with-body -w '\\n'")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_the_readme_s_calls_and_pages_are_there_and_the_first_message_arrives_within_a_minute(up: Up) -> None:
    first, second = FIRST.split("\n\n", 1)
    (created,) = run(up, first, second)
    assert created["title"] == "Water the {{ plant }}"
    wait_until(lambda: 'delivered "Water the ficus" -> log' in up.said(), 90)
    assert "Hi Ada, it is" in (up.data_dir / "logs" / "worker.log").read_text()
    delivery, *others = run(up, first, *REST)
    assert (delivery["status"], delivery["attempts"][0]["outcome"]) == ("delivered", "delivered")
    assert len(others) == 5, "a weekday schedule, send, pause, resume, change"
    with urllib.request.urlopen(f"{up.url}/docs") as answer:
        assert answer.status == 200


def test_no_shell_takes_an_address_of_the_readme_for_a_pattern() -> None:
    addresses = re.findall(r"(\S)http://[^\s]*\?|(\s)http://[^\s]*\?", "\n".join(CALLS))
    assert addresses
    assert {before for before, bare in addresses} <= {"'", '"'}
    assert not any(bare for _, bare in addresses)
