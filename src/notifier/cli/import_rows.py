"""What stands in a file to import: rows with the line that each begins on."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from typing import Any, BinaryIO, Literal

Format = Literal["jsonl", "json", "csv"]

SUFFIXES: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv"}
COLUMNS = ("external_id", "title", "body", "schedule", "start_at", "to", "data")
DATA = "data."
"""Beginning of the names of columns that hold one value of `data` each."""

UNREADABLE = "urn:notifier:problem:invalid-input"
LARGEST_CELL = 1024 * 1024
BLANKS = " \t\r\n"


class Unreadable(Exception):
    """The file as a whole cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its line (from 1), the body of a POST, the bytes read so far; `error` if it is not sent.

    What has an error keeps the content as the file has it; `type` is that of its problem.
    """

    line: int
    value: Any
    error: str | None = None
    offset: int = 0
    type: str = UNREADABLE


def guess(name: str, beginning: bytes) -> Format:
    """Return the format that a file's name or its first character tells."""
    for suffix, form in SUFFIXES.items():
        if name.lower().endswith(suffix):
            return form
    first = beginning.decode("utf-8-sig", "replace").lstrip(BLANKS)[:1]
    return {"[": "json", "{": "jsonl"}.get(first, "csv")  # type: ignore[return-value]


def read(file: BinaryIO, form: Format) -> Iterator[Row]:
    """Yield the rows of a file in UTF-8. Raises Unreadable."""
    readers = {"jsonl": _read_lines, "json": _read_array, "csv": _read_csv}
    try:
        yield from readers[form](file)
    except UnicodeDecodeError as error:
        raise Unreadable(f"it is not UTF-8: {error.reason}") from error


def _read_lines(file: BinaryIO) -> Iterator[Row]:
    offset = 0
    for number, line in enumerate(file, 1):
        offset += len(line)
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip(BLANKS)
        if text:
            yield _parsed(number, text, offset)


def _parsed(line: int, text: str, offset: int) -> Row:
    try:
        return Row(line, json.loads(text), offset=offset)
    except (ValueError, RecursionError) as error:
        return Row(line, text, f"This is not JSON: {error}", offset)


def _read_array(file: BinaryIO) -> Iterator[Row]:
    """Yield the items of one JSON array; it is held in memory as text."""
    text = file.read().decode("utf-8-sig")
    decoder = json.JSONDecoder()
    at, line = _skip(text, 0, BLANKS), 1
    if text[at : at + 1] != "[":
        raise Unreadable("it does not begin with [, as a JSON array does")
    line, at = line + text.count("\n", 0, at), at + 1
    separators = BLANKS
    while (begin := _skip(text, at, separators)) < len(text) and text[begin] != "]":
        line += text.count("\n", at, begin)
        try:
            value, at = decoder.raw_decode(text, begin)
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"line {line} is not JSON: {error}") from error
        yield Row(line, value, offset=at)
        line += text.count("\n", begin, at)
        separators = BLANKS + ","
    if begin >= len(text):
        raise Unreadable("the JSON array is never closed")


def _skip(text: str, at: int, what: str) -> int:
    while at < len(text) and text[at] in what:
        at += 1
    return at


def _read_csv(file: BinaryIO) -> Iterator[Row]:
    csv.field_size_limit(LARGEST_CELL)
    rows = csv.DictReader(TextIOWrapper(file, "utf-8-sig", newline=""), strict=True)
    _check_columns(rows.fieldnames or ())
    while True:
        line = rows.line_num + 1
        try:
            cells = next(rows, None)
        except csv.Error as error:
            raise Unreadable(f"line {line}: {error}") from error
        if cells is None:
            return
        yield _from_cells(line, cells, file.tell() if file.seekable() else 0)


def _check_columns(names: Any) -> None:
    wrong = [name for name in names if name not in COLUMNS and not name.startswith(DATA)]
    if wrong or "title" not in names or "schedule" not in names:
        told = f"unknown column {wrong[0]!r}" if wrong else "the columns title and schedule are needed"
        raise Unreadable(f"{told}; there are: {', '.join(COLUMNS)} and {DATA}<name>")


def _from_cells(line: int, cells: dict[Any, Any], offset: int) -> Row:
    try:
        return Row(line, _body(cells), offset=offset)
    except ValueError as error:
        return Row(line, cells, str(error), offset)


def _body(cells: dict[Any, Any]) -> dict[str, Any]:
    """Return the body of a POST; an empty cell is a field that is not given. Raises ValueError."""
    if None in cells:
        raise ValueError("it has more cells than there are columns")
    given = {name: cell for name, cell in cells.items() if cell}
    data = {name.removeprefix(DATA): cell for name, cell in given.items() if name.startswith(DATA)}
    body = {name: cell for name, cell in given.items() if name in COLUMNS}
    if body.get("schedule", "").startswith("{"):
        body["schedule"] = _object("schedule", body["schedule"])
    if "data" in body:
        body["data"] = _object("data", body["data"])
    if "to" in body:
        body["to"] = body["to"].split()
    if data:
        body["data"] = {**body.get("data", {}), **data}
    return body


def _object(name: str, cell: str) -> dict[str, Any]:
    try:
        found = json.loads(cell) if cell.startswith("{") else None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the cell of {name} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"the cell of {name} is not a JSON object")
    return found
