"""Why a start can fail, in words for the person at the terminal."""

from pathlib import Path


class StartError(Exception):
    """Something that the user can put right; the message is one readable sentence, without a stack trace."""


class ChildFailedError(StartError):
    """A child ended, or was not ready in time, while the service was starting; `last_lines` of its log."""

    def __init__(self, name: str, how: str, log: Path, last_lines: list[str]) -> None:
        super().__init__(f"{name} {how}; its log is {log}")
        self.last_lines = last_lines
