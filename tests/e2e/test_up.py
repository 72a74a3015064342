"""`notifier up` as a person uses it: start, paste the line, wait for the message, press Ctrl-C, come back."""

import asyncio
import json
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.embedded import sockets
from notifier.embedded.processes import end_all
from tests.cli.test_up import CHILDREN, Up, needs_curl
from tests.processes import until
from tests.receivers import http_receiver

DUE_TO_SENT_SECONDS = 90
"""A sweep each minute, and some seconds to send where much else is going on."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Yield a private folder for the data; end whatever a failed test leaves there."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    yield folder / ".notifier"
    run = folder / ".notifier" / "run"
    if run.exists():
        end_all(run, hurried=lambda: True)
        sockets.remove(run)


def paste(line: str) -> Any:
    """Run a line as a person's shell does; return the JSON that it prints."""
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, timeout=30)
    return json.loads(done.stdout)


@needs_curl
@pytest.mark.long
@pytest.mark.timeout(300)
async def test_it_starts_the_printed_line_leads_to_a_message_and_a_restart_keeps_all(home: Path) -> None:
    up = await asyncio.to_thread(Up(home).await_ready)
    assert up.running() == set(CHILDREN)
    assert stat.S_IMODE((home / "api-key").stat().st_mode) == 0o600
    line = next(one for one in up.said().splitlines() if one.startswith("curl "))
    async with http_receiver() as receiver:
        printed = await asyncio.to_thread(paste, line)
        assert printed["title"] == "Water the plants"
        now = datetime.now(UTC)
        # the same line, for today rather than tomorrow, and to a receiver that can be asked
        more = f'"schedule": "daily", "start_at": "{now.isoformat()}", "to": ["{receiver.url}/hook"]'
        assert '"schedule": "daily"' in line
        created = await asyncio.to_thread(paste, line.replace('"schedule": "daily"', more))
        await until(lambda: bool(receiver.requests), DUE_TO_SENT_SECONDS, "the message")

        async def delivered() -> bool:
            shown: Any = await asyncio.to_thread(up.get, f"/v1/notifications/{created['id']}")
            return shown["last_delivered_at"] is not None

        await until(delivered)
        # what the printed line made is told at the terminal
        await until(lambda: 'delivered "Water the plants" -> log\n' in up.said(), DUE_TO_SENT_SECONDS)
        assert "Stopped. All data is kept." in await asyncio.to_thread(up.stop)
        assert up.running() == set()

        again = await asyncio.to_thread(Up(home).await_ready)
        assert again.running() == set(CHILDREN)
        shown: Any = await asyncio.to_thread(again.get, f"/v1/notifications/{created['id']}")
        ledger: Any = await asyncio.to_thread(again.get, "/v1/deliveries")
        (delivery,) = [one for one in ledger["items"] if one["notification_id"] == created["id"]]
        assert {one["notification_id"] for one in ledger["items"]} == {created["id"], printed["id"]}
        assert (delivery["status"], delivery["attempts_made"]) == ("delivered", 1)
        due, sent = (datetime.fromisoformat(shown[name]) for name in ("next_due_at", "last_delivered_at"))
        assert due - sent == timedelta(hours=24)
        await asyncio.to_thread(again.stop)
        assert again.running() == set()
        assert len(receiver.requests) == 1
