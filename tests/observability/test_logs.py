"""Logs: a line for machines and one for people say the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ID = "0fbf2d3e-c359-4e20-96bb-882c04e74bd2"
PROGRAM = f"""
import sys
from datetime import UTC, datetime
from uuid import UUID
import structlog
from notifier.domain.delivery import Status
from notifier.observability import logs
logs.configure(log_format=sys.argv[1], level="info")
at = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
structlog.get_logger("engine").info("sent", delivery_id=UUID("{ID}"), at=at, status=Status.DELIVERED)
"""
MANY = """
from notifier.observability import logs
logs.configure(log_format="json", level=LEVEL)
logs.info("engine", "sent", [{"number": 1}, {"number": 2}])
"""


def logged(form: str) -> str:
    """Return what a process of its own writes: there is one configuration in each."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, form], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stderr


def test_a_line_for_machines_is_json_with_ids_and_instants_as_text() -> None:
    line = json.loads(logged("json"))
    assert line.pop("timestamp")
    assert line == {
        "event": "sent",
        "level": "info",
        "logger": "engine",
        "delivery_id": ID,
        "at": "2026-03-29T01:30:00Z",
        "status": "delivered",
    }


def test_a_line_for_people_shows_values_and_not_how_python_writes_them() -> None:
    line = logged("console")
    for said in (ID, "2026-03-29 01:30:00+00:00", "delivered", "engine", "sent"):
        assert said in line
    assert "UUID(" not in line
    assert "Status." not in line


@pytest.mark.parametrize(("level", "numbers"), [("debug", [1, 2]), ("info", [1, 2]), ("warning", [])])
def test_many_lines_of_one_event_have_the_form_of_a_single_one(level: str, numbers: list[int]) -> None:
    program = MANY.replace("LEVEL", repr(level))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line.pop("number") for line in lines] == numbers
    for line in lines:
        assert line.pop("timestamp")
        assert line == {"event": "sent", "level": "info", "logger": "engine"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "program", [PROGRAM.replace("sys.argv[1]", "'json'"), MANY.replace("LEVEL", "'info'")]
)
def test_a_line_that_finds_the_disk_full_costs_the_line_and_no_work(program: str) -> None:
    with Path("/dev/full").open("w") as full:
        subprocess.run(
            [sys.executable, "-c", f"{program}\nprint('goes on')"],
            stdout=subprocess.PIPE,
            stderr=full,
            check=True,
            timeout=60,
        )
