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

SURPLUS = "surplus"
"""Where a rejected row keeps the cells that have no column; it is taken again without them."""

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
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Row(line, text, f"This is not JSON: {error}", offset)
    return _row(line, value, offset)


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
        yield _row(line, value, at)
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
    rows = csv.DictReader(TextIOWrapper(file, "utf-8-sig", newline=""), restkey=SURPLUS, strict=True)
    _check_columns(rows.fieldnames or ())
    while True:
        line = rows.line_num + 1
        try:
            cells = next(rows, None)
        except csv.Error as error:
            raise Unreadable(f"line {line}: {error}") from error
        if cells is None:
            return
        given = {name: cell for name, cell in cells.items() if cell}
        yield _row(line, given, file.tell() if file.seekable() else 0)


def _check_columns(names: Any) -> None:
    wrong = [name for name in names if name not in COLUMNS and not name.startswith(DATA)]
    if wrong or "title" not in names or "schedule" not in names:
        told = f"unknown column {wrong[0]!r}" if wrong else "the columns title and schedule are needed"
        raise Unreadable(f"{told}; there are: {', '.join(COLUMNS)} and {DATA}<name>")


def _row(line: int, value: Any, offset: int) -> Row:
    """Return a row whose values may be cells, also in JSON: so a mended row of CSV is read there."""
    try:
        return Row(line, _body(value) if isinstance(value, dict) else value, offset=offset)
    except ValueError as error:
        return Row(line, value, str(error), offset)


def _body(value: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a POST. Raises ValueError."""
    if SURPLUS in value:
        raise ValueError(f"it has more cells than there are columns: {value[SURPLUS]}")
    body = {name: given for name, given in value.items() if not name.startswith(DATA)}
    data = {name.removeprefix(DATA): given for name, given in value.items() if name.startswith(DATA)}
    if str(body.get("schedule", "")).startswith("{"):
        body["schedule"] = _object("schedule", body["schedule"])
    if data or isinstance(body.get("data"), str):
        body["data"] = {**_object("data", body.get("data", {})), **data}
    if isinstance(body.get("to"), str):
        body["to"] = body["to"].split()
    return body


def _object(name: str, cell: Any) -> dict[str, Any]:
    try:
        found = json.loads(cell) if isinstance(cell, str) and cell.startswith("{") else cell
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the cell of {name} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"the cell of {name} is not a JSON object")
    return found
