"""What became of each message, in one line for the terminal; in a rush, how many there were.

It reads the events that the worker logs: `delivery.attempted` for each attempt, and `message.logged`, which
tells the rendered title of what went to the log.
"""

from collections import Counter
from typing import Any

from notifier import clock

MOST_A_SECOND = 20
TOLD = ("delivered", "failed", "retrying")
REMEMBERED = 1000
SELF_EVIDENT = (None, "schedule", "test")
"""Triggers that need no word: most messages have the first, and the line of a test says it anyhow."""


class DeliveryNews:
    """Turns events into lines, `MOST_A_SECOND` of them; the others are counted and told together."""

    def __init__(self) -> None:
        self._titles: dict[str, str] = {}
        self._second = clock.monotonic()
        self._shown = 0
        self._unshown: Counter[str] = Counter()

    def line(self, entry: dict[str, Any]) -> str | None:
        """Return the line for an event, None if it tells of no message or there are too many just now."""
        if entry.get("event") == "message.logged":
            self._remember(str(entry.get("delivery_id")), str(entry.get("title")))
        if entry.get("event") != "delivery.attempted" or entry.get("status") not in TOLD:
            return None
        if entry.get("rehearsal"):
            return None  # nothing has left
        title = self._titles.pop(str(entry.get("delivery_id")), None)
        self._shown += 1
        if self._shown > MOST_A_SECOND:
            self._unshown[entry["status"]] += 1
            return None
        return _printable(_sentence({**entry, "title": title or entry.get("title")}))

    def summary(self) -> str | None:
        """Return, once in a second, one line about the messages that got none of their own."""
        if clock.monotonic() - self._second < 1:
            return None
        parts = [f"{self._unshown[status]} {status}" for status in TOLD if self._unshown[status]]
        self._second, self._shown, self._unshown = clock.monotonic(), 0, Counter()
        return "and more: " + ", ".join(parts) if parts else None

    def _remember(self, delivery_id: str, title: str) -> None:
        self._titles[delivery_id] = title
        if len(self._titles) > REMEMBERED:
            del self._titles[next(iter(self._titles))]


def _sentence(entry: dict[str, Any]) -> str:
    line = f"{entry['status']} {_what(entry)} -> {_destination(entry)}"
    trigger = entry.get("trigger")
    remarks = [] if trigger in SELF_EVIDENT else [str(trigger)]
    if entry["status"] != "delivered":
        remarks.append(_cause(entry))
    return f"{line} ({'; '.join(remarks)})" if remarks else line


def _what(entry: dict[str, Any]) -> str:
    if title := entry.get("title"):
        return f'"{title}"'
    if known := entry.get("external_id") or entry.get("notification_id"):
        return f"notification {known}"
    return "message" if entry.get("trigger") == "event" else "test message"


def _destination(entry: dict[str, Any]) -> str:
    kind, name = str(entry.get("kind")), entry.get("destination_name")
    return f"{kind} {name}" if name and name != kind else kind


def _cause(entry: dict[str, Any]) -> str:
    cause = entry.get("error") or entry.get("reason") or entry.get("outcome")
    wait = entry.get("retry_in_seconds")
    return f"{cause}; next attempt in {wait:.0f} s" if wait is not None else str(cause)


def _printable(line: str) -> str:
    """Return the line without what could steer a terminal: titles and errors are other people's."""
    return "".join(char if char.isprintable() else "?" for char in line)
