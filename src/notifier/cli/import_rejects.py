"""The file of rejected rows, and what of it is told on the terminal."""

import json
from pathlib import Path
from typing import Any, BinaryIO, Self

from notifier.cli.client import detail
from notifier.cli.import_rows import Row

SHOWN = 10
"""Rejected rows that are told of on the terminal; all of them stand in the file."""


class Rejects:
    """The file, made when the first row comes; in the end its rows stand in the order of their lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._size = 0
        self._places: list[tuple[int, int]] = []
        self._told: list[tuple[int, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._sort()

    @property
    def count(self) -> int:
        """How many rows were rejected."""
        return len(self._places)

    @property
    def told(self) -> list[str]:
        """What the terminal tells: a line for each of the first rows."""
        return [f"line {line}: {what}" for line, what in self._told]

    def add(self, row: Row, problem: Any) -> None:
        """Write one row down."""
        self._file = self._file or self.path.open("wb")
        line = json.dumps({"line": row.line, "row": row.value, "problem": problem}).encode() + b"\n"
        self._file.write(line)
        self._places.append((row.line, self._size))
        self._size += len(line)
        self._told = sorted([*self._told, (row.line, detail(problem))])[:SHOWN]

    def _sort(self) -> None:
        # Batches under way at once end in any order. A device or a pipe stays as it was written.
        if self._places == sorted(self._places) or not self.path.is_file():
            return
        draft = self.path.with_name(self.path.name + ".new")
        with self.path.open("rb") as written, draft.open("wb") as ordered:
            for _, offset in sorted(self._places):
                written.seek(offset)
                ordered.write(written.readline())
        draft.replace(self.path)
