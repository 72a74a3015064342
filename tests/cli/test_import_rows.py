"""What stands in a file to import: rows, their lines, and what is wrong with them."""

import json
import re
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import pytest

from notifier.api.schemas.notification import NotificationCreate
from notifier.cli.import_rows import Format, Row, Unreadable, guess, read
from notifier.domain import schedule

ROOT = Path(__file__).parents[2]
PLANTS: dict[str, Any] = {"title": "Plants", "schedule": "daily"}


def rows(form: Format, text: str | bytes) -> list[Row]:
    content = text if isinstance(text, bytes) else text.encode()
    return list(read(BufferedReader(BytesIO(content)), form))  # type: ignore[arg-type]


def told(form: Format, text: str | bytes) -> list[tuple[int, Any]]:
    return [(row.line, row.value) for row in rows(form, text)]


@pytest.mark.parametrize(
    ("name", "beginning", "form"),
    [
        ("a.jsonl", b"[", "jsonl"),
        ("a.NDJSON", b"", "jsonl"),
        ("a.json", b"{", "json"),
        ("a.csv", b"[", "csv"),
        ("-", b' \n\t{"title"', "jsonl"),
        ("-", b"\xef\xbb\xbf[", "json"),
        ("-", b"title,schedule", "csv"),
        ("a.txt", b"", "csv"),
    ],
)
def test_the_format_is_told_by_the_name_or_by_the_first_character(
    name: str, beginning: bytes, form: str
) -> None:
    assert guess(name, beginning) == form


def test_each_line_of_json_lines_is_a_row_and_blank_ones_are_none() -> None:
    line = json.dumps(PLANTS)
    assert told("jsonl", f"\ufeff{line}\n\n  \r\n{line}\r\n") == [(1, PLANTS), (4, PLANTS)]


def test_a_line_that_is_not_json_is_one_row_that_cannot_be_read() -> None:
    found = rows("jsonl", '{"title": "a"}\n{"title": \n[1, 2]\n' + "[" * 100_000)
    assert [(row.line, row.error is None) for row in found] == [(1, True), (2, False), (3, True), (4, False)]
    assert found[1].value == '{"title":'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", []),
        ("\n[\n]\n", []),
        ('[{"a": 1}, {"a": 2}]', [(1, {"a": 1}), (1, {"a": 2})]),
        ('\ufeff\n[\n  {"a": 1},\n\n  {\n  "a": 2\n  },\n  3\n]', [(3, {"a": 1}), (5, {"a": 2}), (8, 3)]),
    ],
)
def test_each_item_of_a_json_array_is_a_row_with_the_line_that_it_begins_on(
    text: str, expected: list[tuple[int, Any]]
) -> None:
    assert told("json", text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1}', "begin with"),
        ("", "begin with"),
        ('[{"a": 1}', "never closed"),
        ('[\n{"a": 1},\n{"a": }]', "line 3 is not JSON"),
        (b'["\xff"]', "not UTF-8"),
    ],
)
def test_an_array_that_is_broken_says_where(text: str | bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        rows("json", text)


def test_each_line_of_csv_is_a_row_and_an_empty_cell_is_a_field_not_given() -> None:
    text = (
        "external_id,title,body,schedule,to,data.name,data,start_at\n"
        'plants,Plants,"Hi,\n{{ name }}",daily,log: mailto:a@example.com,Ada,,\n'
        'bins,Bins,,"{""kind"": ""interval"", ""every"": ""PT6H""}",,Bob,"{""n"": 1}",2199-01-01T00:00:00Z\n'
    )
    assert told("csv", text) == [
        (
            2,
            {
                "external_id": "plants",
                "title": "Plants",
                "body": "Hi,\n{{ name }}",
                "schedule": "daily",
                "to": ["log:", "mailto:a@example.com"],
                "data": {"name": "Ada"},
            },
        ),
        (
            4,
            {
                "external_id": "bins",
                "title": "Bins",
                "schedule": {"kind": "interval", "every": "PT6H"},
                "data": {"n": 1, "name": "Bob"},
                "start_at": "2199-01-01T00:00:00Z",
            },
        ),
    ]


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ("Plants,daily,,more", "more cells"),
        ('Plants,"{x",', "schedule is not JSON"),
        ('Plants,daily,"{x"', "data is not JSON"),
        ("Plants,daily,[1]", "data is not a JSON object"),
        ("Plants,daily,x", "data is not a JSON object"),
    ],
)
def test_a_line_of_csv_that_makes_no_sense_is_one_row_that_cannot_be_read(cells: str, why: str) -> None:
    wrong, good = rows("csv", f"title,schedule,data\n{cells}\nPlants,daily,\n")
    assert (wrong.line, why in str(wrong.error)) == (2, True)
    assert (good.line, good.value) == (3, PLANTS)


def test_a_rejected_line_of_csv_is_read_again_as_json_once_it_is_mended() -> None:
    (wrong,) = rows(
        "csv", 'title,schedule,to,data,data.n,body\nA,"{x",log: mailto:a@b.c,"{""m"": 1}",2,,c,d\n'
    )
    assert wrong.value == {
        "title": "A",
        "schedule": "{x",
        "to": "log: mailto:a@b.c",
        "data": '{"m": 1}',
        "data.n": "2",
        "surplus": ["c", "d"],
    }
    mended = {**wrong.value, "schedule": '{"kind": "interval", "every": "P1D"}'}
    (still,) = rows("jsonl", json.dumps(mended))
    assert "more cells than there are columns: ['c', 'd']" in str(still.error)
    del mended["surplus"]
    for form, text in (("jsonl", json.dumps(mended)), ("json", json.dumps([mended]))):
        assert told(form, text) == [  # type: ignore[arg-type]
            (
                1,
                {
                    "title": "A",
                    "schedule": {"kind": "interval", "every": "P1D"},
                    "to": ["log:", "mailto:a@b.c"],
                    "data": {"m": 1, "n": "2"},
                },
            )
        ]


@pytest.mark.parametrize("header", ["title,colour,schedule", "title", "schedule", "", "title,schedule,"])
def test_columns_that_are_unknown_or_missing_end_it_at_once(header: str) -> None:
    with pytest.raises(Unreadable, match=r"there are: external_id, title"):
        rows("csv", f"{header}\nx,daily,x\n")


def test_the_page_s_example_of_csv_is_what_the_api_takes() -> None:
    (text,) = re.findall(r"```csv\n(.*?)```", (ROOT / "docs" / "import.md").read_text(), re.S)
    found = rows("csv", text)
    assert [row.error for row in found] == [None, None]
    for row in found:
        body = NotificationCreate.model_validate(row.value)
        assert schedule.parse(body.schedule)
        assert body.to
