"""What of the children's logs belongs on the terminal: warnings, errors and what became of messages."""

import json
import re
from collections.abc import Iterator
from typing import Any

from notifier.embedded.child import Child, trim_log
from notifier.embedded.news import DeliveryNews

LOUD = {"warning", "error", "critical"}
HIDDEN = {"timestamp", "level", "event", "logger", "exception", "stack", "stack_info"}
POSTGRES = re.compile(r"\b(FATAL|PANIC): +(.*)")
PLAIN = re.compile(r"^(WARNING|ERROR|CRITICAL):? +(.*)")
EXPECTED = ("terminating connection", "shutting down")
CHUNK = 256_000


class LogReader:
    """Follows one child's log file."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._offset = child.log_start
        self._rest = b""
        self._deliveries = DeliveryNews()

    def news(self) -> Iterator[str]:
        """Yield what is worth showing of the lines written since the last call."""
        with self._child.log.open("rb") as log:
            log.seek(self._offset)
            written = log.read(CHUNK)
        self._offset += len(written)
        if trim_log(self._child.log) == 0:
            self._offset = self._child.log_start = 0
        *lines, self._rest = (self._rest + written).split(b"\n")
        for line in lines:
            if shown := self._shown(line.decode("utf-8", "replace")):
                yield shown
        if summary := self._deliveries.summary():
            yield summary

    def _shown(self, line: str) -> str | None:
        warning = readable(line)
        return f"{self._child.name}: {warning}" if warning else self._deliveries.line(_entry(line))


def readable(line: str) -> str | None:
    """Return a log line as a person would want it on the terminal, or None if it can stay in the file."""
    if line.startswith("{"):
        entry = _entry(line)
        return _sentence(entry) if entry.get("level") in LOUD else None
    found = POSTGRES.search(line) or PLAIN.search(line)
    if not found or any(words in line for words in EXPECTED):
        return None
    return f"{found[1].lower()}: {found[2]}"


def _entry(line: str) -> dict[str, Any]:
    """Return a line of JSON as an object, an empty one if it is none."""
    try:
        entry = json.loads(line) if line.startswith("{") else {}
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _sentence(entry: dict[str, Any]) -> str:
    fields = " ".join(f"{name}={value}" for name, value in entry.items() if name not in HIDDEN)
    lines = str(entry.get("exception", "")).strip().splitlines()
    cause = f" ({lines[-1]})" if lines else ""
    return f"{entry['level']}: {entry.get('event', '')} {fields}".rstrip() + cause
