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

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
CALLS = [block for block in BLOCKS if "curl" in block or "export KEY" in block]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Start what `make run` starts."""
    running = Up(tmp_path_factory.mktemp("readme") / "data").await_ready()
    yield running
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(30) == 0


@needs_curl
def test_the_readme_s_calls_all_succeed(up: Up) -> None:
    script = "\n".join(CALLS).replace("http://127.0.0.1:8000", up.url).replace(".notifier", str(up.data_dir))
    script = script.replace("curl -sS", "curl -sS --fail-with-body -w '\\n'")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [one["title"] for one in answers if "title" in one][:2] == [
        "Water the plants",
        "Water the {{ plant }}",
    ]
    assert len(answers) == 8, "three creates, the ledger, send, pause, resume, change"


def test_the_docs_page_that_the_readme_names_is_there(up: Up) -> None:
    with urllib.request.urlopen(f"{up.url}/docs") as answer:
        assert answer.status == 200
