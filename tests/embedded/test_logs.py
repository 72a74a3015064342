"""Which log lines reach the terminal, and how they read there."""

import json

import pytest

from notifier.embedded.logs import readable


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('{"level": "info", "event": "attempt"}', None),
        ('{"level": "warning", "event": "slow", "ms": 9, "timestamp": "t"}', "warning: slow ms=9"),
        ('{"level": "error", "event": "gone", "logger": "x"}', "error: gone"),
        ('{"level": "error"', None),
        ("2026-11-22 11:00:00.000 UTC [7] LOG:  ready", None),
        ("2026-11-22 11:00:00.000 UTC [7] ERROR:  duplicate key", None),
        ("2026-11-22 11:00:00.000 UTC [7] PANIC:  could not write", "panic: could not write"),
        ("... FATAL:  terminating connection due to administrator command", None),
        ("ERROR:    [Errno 98] address already in use", "error: [Errno 98] address already in use"),
        ("18363:M * Ready to accept connections unix", None),
    ],
)
def test_a_line_is_shown_if_somebody_should_know(line: str, shown: str | None) -> None:
    assert readable(line) == shown


def test_an_exception_is_shown_by_its_last_line() -> None:
    entry = {"level": "error", "event": "sweep.failed", "exception": "Traceback\n  File x\nOSError: gone"}
    assert readable(json.dumps(entry)) == "error: sweep.failed (OSError: gone)"
