"""The command that imports, run for a test, and what it left in the service."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from typer.testing import CliRunner

from notifier import cli
from tests.processes import API_KEY

LIST = "/v1/notifications"
ROW = {"title": "Water the plants", "schedule": "daily"}


def client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=30)


def stored(url: str) -> list[dict[str, Any]]:
    with client(url) as api:
        items: list[dict[str, Any]] = api.get(LIST, params={"limit": 100}).json()["items"]
    return items


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, Any]:
        """What `--json` told."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Created, updated, already there, rejected."""
        told = self.result
        return told["created"], told["updated"], told["already_there"], told["rejected"]


def run(url: str, *arguments: object, as_json: bool = True, **settings: str) -> Done:
    """Run the command in this process."""
    env = {"NOTIFIER_URL": url, "NOTIFIER_API_KEY": API_KEY, "NOTIFIER_DATA_DIR": None, **settings}
    done = CliRunner().invoke(cli.app, ["import", *map(str, arguments), *["--json"] * as_json], env=env)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return Done(done.exit_code, done.stdout, done.stderr)


def pipe(url: str, stdin: str, *arguments: str) -> Done:
    """Run the command in a process of its own, which reads from a pipe."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFIER_")}
    done = subprocess.run(
        [sys.executable, "-m", "notifier", "import", "-", *arguments, "--json"],
        env={**kept, "NOTIFIER_URL": url, "NOTIFIER_API_KEY": API_KEY, "NO_COLOR": "1"},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
