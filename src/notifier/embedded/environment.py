"""What the children are told: the caller's own environment, completed where it leaves something open."""

import os
from collections.abc import Mapping
from pathlib import Path

from notifier.embedded.errors import StartError
from notifier.settings import PREFIX

LOOPBACK = "127.0.0.0/8,::1/128"
LAST_PORT = 65535


class Environment:
    """The caller's environment, which always wins, and what is added to it for the children."""

    def __init__(self, caller: Mapping[str, str] | None = None) -> None:
        # Not read for settings of our own, only handed on, whole.
        self._caller = dict(os.environ if caller is None else caller)  # noqa: TID251
        self._added: dict[str, str] = {}
        self._put: dict[str, str] = {}

    def gives(self, setting: str) -> bool:
        """Say whether the caller set `NOTIFIER_<setting>`, itself or as a file."""
        return any(self._caller.get(PREFIX + setting + ending) for ending in ("", "_FILE"))

    def value(self, setting: str) -> str:
        """Return the caller's value of a setting that it gives; raises StartError for an unreadable file."""
        if direct := self._caller.get(PREFIX + setting):
            return direct
        path = self._caller[f"{PREFIX}{setting}_FILE"]
        try:
            return Path(path).read_text("utf-8").strip()
        except OSError as error:
            raise StartError(f"{PREFIX}{setting}_FILE: cannot read {path}: {error.strerror}") from error

    def file_of(self, setting: str) -> str | None:
        """Return the path in the caller's `NOTIFIER_<setting>_FILE`, if there is one."""
        return self._caller.get(f"{PREFIX}{setting}_FILE") or None

    def add(self, setting: str, value: object) -> None:
        """Set `NOTIFIER_<setting>` for the children, unless the caller gives it."""
        if not self.gives(setting.removesuffix("_FILE")):
            self._added[PREFIX + setting] = str(value)

    def put(self, setting: str, value: object) -> None:
        """Set `NOTIFIER_<setting>` for the children, whatever the caller's environment says."""
        self._put[PREFIX + setting] = str(value)

    def of_worker(self) -> dict[str, str]:
        """Return the worker's whole environment: its figures are one port above the scheduler's.

        Raises StartError if there is no port above.
        """
        complete = self.complete()
        if self.gives("METRICS_PORT"):
            complete[PREFIX + "METRICS_PORT"] = str(_one_above(self.value("METRICS_PORT")))
        return complete

    def complete(self) -> dict[str, str]:
        """Return the children's whole environment."""
        given = {name: value for name, value in self._caller.items() if value or name not in self._added}
        return {**self._added, **given, **self._put}


def _one_above(port: str) -> int:
    if not (port.isascii() and port.isdigit() and 0 < int(port) < LAST_PORT):
        raise StartError(
            f"{PREFIX}METRICS_PORT must be a number from 1 to {LAST_PORT - 1}: "
            "the scheduler shows its figures there, the worker one port above"
        )
    return int(port) + 1
