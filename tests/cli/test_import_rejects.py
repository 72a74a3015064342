"""The file of rejected rows."""

import json
from pathlib import Path

from notifier.cli.import_rejects import SHOWN, Rejects
from notifier.cli.import_rows import Row


def test_the_rows_stand_in_the_order_of_their_lines_whenever_they_were_rejected(tmp_path: Path) -> None:
    path = tmp_path / "rows.rejects.jsonl"
    lines = [*range(30, 60), 3, *range(5, 30)]
    with Rejects(path) as rejects:
        for line in lines:
            rejects.add(Row(line, {"title": "ä" * line}), {"detail": "no"})
    found = [json.loads(text) for text in path.read_text().splitlines()]
    assert [(one["line"], len(one["row"]["title"])) for one in found] == [(n, n) for n in sorted(lines)]
    assert rejects.told == [f"line {line}: no" for line in sorted(lines)[:SHOWN]]
    assert list(tmp_path.iterdir()) == [path]


def test_without_a_rejected_row_there_is_no_file(tmp_path: Path) -> None:
    with Rejects(tmp_path / "rejects"):
        pass
    assert list(tmp_path.iterdir()) == []
