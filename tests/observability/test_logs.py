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
TOGETHER = """
import os
from contextlib import suppress
import structlog
from notifier.observability import logs
logs.configure(log_format="json", level="info")
log = structlog.get_logger("engine")
with suppress(ZeroDivisionError), logs.together():
    log.info("one")
    log.info("two")
    print(os.fstat(2).st_size, "bytes before the end")
    1 / 0
log.info("alone")
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


def test_lines_written_together_wait_for_the_last_one_and_are_kept_by_an_error(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+") as file:
        done = subprocess.run(
            [sys.executable, "-c", TOGETHER], stdout=subprocess.PIPE, stderr=file, check=True, timeout=60
        )
        file.seek(0)
        assert done.stdout == b"0 bytes before the end\n"
        assert [json.loads(line)["event"] for line in file] == ["one", "two", "alone"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_line_that_finds_the_disk_full_costs_the_line_and_no_work() -> None:
    with Path("/dev/full").open("w") as full:
        subprocess.run(
            [sys.executable, "-c", f"{TOGETHER}\nprint('goes on')"],
            stdout=subprocess.PIPE,
            stderr=full,
            check=True,
            timeout=60,
        )
