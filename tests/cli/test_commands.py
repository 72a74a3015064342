"""The command line: help is quick, wrong settings are told by name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = ("up", "api", "worker", "scheduler", "migrate", "doctor")
GOOD = {
    "NOTIFIER_DATABASE_URL": "postgresql://ada@127.0.0.1:1/x",
    "NOTIFIER_REDIS_URL": "redis://127.0.0.1:1/0",
    "NOTIFIER_SECRET_KEY": "k" * 32,
}


def notifier(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFIER_")}
    return subprocess.run(
        [sys.executable, "-m", "notifier", *arguments],
        env={**kept, "COLUMNS": "200", "NO_COLOR": "1", **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_every_command() -> None:
    done = notifier("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert command in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_page(command: str) -> None:
    assert notifier(command, "--help").returncode == 0


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; import notifier.cli; heavy = {'fastapi', 'sqlalchemy', 'pydantic', 'redis', 'asyncpg'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_the_version_is_told() -> None:
    assert notifier("--version").stdout.startswith("notifier ")


@pytest.mark.parametrize("command", ["api", "worker", "scheduler", "migrate"])
def test_missing_settings_are_told_by_name_one_per_line(command: str) -> None:
    done = notifier(command)
    assert done.returncode == 2
    assert [line.strip() for line in done.stderr.splitlines()] == [
        "Error: NOTIFIER_DATABASE_URL is not set",
        "NOTIFIER_REDIS_URL is not set",
        "NOTIFIER_SECRET_KEY is not set",
    ]


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("NOTIFIER_PORT", "many", "NOTIFIER_PORT: "),
        ("NOTIFIER_DATABASE_URL", "mysql://x", "NOTIFIER_DATABASE_URL: must begin with postgresql://"),
        ("NOTIFIER_SECRET_KEY", "short", "NOTIFIER_SECRET_KEY: "),
        ("NOTIFIER_SECRET_KEY", "changeme" * 5, "NOTIFIER_SECRET_KEY is still a placeholder"),
        ("NOTIFIER_ALLOW_PRIVATE_DESTINATIONS", "10.0.0.0/99", "NOTIFIER_ALLOW_PRIVATE_DESTINATIONS: "),
    ],
)
def test_a_wrong_setting_is_told_without_its_value(setting: str, value: str, said: str) -> None:
    done = notifier("migrate", **{**GOOD, setting: value})
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: {said}")
    if "SECRET" in setting:
        assert value not in done.stderr


def test_a_settings_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    done = notifier("migrate", **GOOD, NOTIFIER_SMTP_PASSWORD_FILE=str(tmp_path / "none"))
    assert done.returncode == 2
    assert str(tmp_path / "none") in done.stderr
    assert len(done.stderr.splitlines()) == 1
