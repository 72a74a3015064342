"""By what a row is known again: its external_id, or one that follows from its content."""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from typing import Any

from notifier.cli.import_rows import Row

DERIVED = "import-"
TAKEN = "urn:notifier:problem:duplicate-external-id"
DIGEST_BYTES = 16
"""What is kept of each row: 128 bits, so that no two rows of any file share one by chance."""


class ExternalIds:
    """The external ids of one file, asked row by row in their order; it holds a digest of each."""

    def __init__(self) -> None:
        self._lines: dict[bytes, int] = {}
        self._copies: Counter[bytes] = Counter()

    def complete(self, row: Row) -> tuple[Row, bytes]:
        """Return the row and its JSON with an external_id; refused if an earlier row of the file has it."""
        if row.error is not None:
            return row, b""
        try:
            return self._completed(row)
        except (ValueError, RecursionError) as error:  # NaN, which would spoil the whole call
            return replace(row, error=f"This is not JSON: {error}"), b""

    def _completed(self, row: Row) -> tuple[Row, bytes]:
        if not isinstance(row.value, dict):
            return row, _json(row.value)
        given = row.value.get("external_id")
        if given is None:
            return row, _json({**row.value, "external_id": self._derive(row.value)})
        digest = _digest(_json(given))
        if digest in self._lines:
            return self._refused(row, self._lines[digest]), b""
        self._lines[digest] = row.line
        return row, _json(row.value)

    def _derive(self, value: dict[str, Any]) -> str:
        """Return an id that the same content always gets; the second of identical rows ends in -2.

        Users see these ids and docs/import.md says how they come about: another rule would make every
        notification once more.
        """
        content = {name: given for name, given in value.items() if name != "external_id"}
        digest = _digest(_json(content, sort_keys=True))
        self._copies[digest] += 1
        copy = self._copies[digest]
        return f"{DERIVED}{digest.hex()}" + (f"-{copy}" if copy > 1 else "")

    def _refused(self, row: Row, first: int) -> Row:
        told = f"external_id: {row.value['external_id']!r} is that of line {first} already"
        return replace(row, error=told, type=TAKEN)


def external_id(row: Row) -> str | None:
    """Return the external_id that the file itself gives a row."""
    found = row.value.get("external_id") if isinstance(row.value, dict) else None
    return found if isinstance(found, str) and found else None


def _json(value: Any, *, sort_keys: bool = False) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False, sort_keys=sort_keys).encode()


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:DIGEST_BYTES]
