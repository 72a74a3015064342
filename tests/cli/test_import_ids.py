"""By what a row is known again: its external_id, or its content."""

import hashlib
import json
from typing import Any

import pytest

from notifier.cli.import_ids import ExternalIds
from notifier.cli.import_rows import Row

ROW = {"title": "Grüße", "schedule": "daily"}


def ids(*values: Any) -> list[Any]:
    known = ExternalIds()
    return [
        json.loads(known.complete(Row(line, value))[1])["external_id"] for line, value in enumerate(values, 1)
    ]


def test_the_derived_id_is_what_the_page_says_and_stays_so() -> None:
    text = '{"schedule":"daily","title":"Gr\\u00fc\\u00dfe"}'
    assert ids(ROW) == ["import-" + hashlib.sha256(text.encode()).hexdigest()[:32]]
    assert ids(ROW) == ["import-59647535a9726952ccb422d03895b1e4"]


@pytest.mark.parametrize(
    "same", [dict(reversed(ROW.items())), {**ROW, "external_id": None}], ids=["order", "null"]
)
def test_the_same_content_has_the_same_id(same: dict[str, Any]) -> None:
    assert ids(same) == ids(ROW)


def test_identical_rows_are_numbered_wherever_they_stand() -> None:
    (first,), other = ids(ROW), {**ROW, "title": "Other"}
    assert ids(ROW, other, ROW, ROW) == [first, *ids(other), f"{first}-2", f"{first}-3"]
    assert ids(other, ROW)[1] == first


def test_a_given_id_stays_and_is_taken_once_in_a_file() -> None:
    known = ExternalIds()
    row, body = known.complete(Row(1, {**ROW, "external_id": "a"}))
    assert (row.error, json.loads(body)) == (None, row.value)
    again, body = known.complete(Row(1, {"external_id": "a"}))
    assert (again.error, body) == ("external_id: 'a' is that of line 1 already", b"")


@pytest.mark.parametrize("value", ["text", 3, [ROW], None])
def test_what_is_no_object_is_left_to_the_service(value: Any) -> None:
    row, body = ExternalIds().complete(Row(1, value))
    assert (row.error, json.loads(body)) == (None, value)
