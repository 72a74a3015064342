"""`notifier import`: what becomes of rows, once each, whatever file they come in again."""

import json
from pathlib import Path

import pytest

from tests.cli.importer import LIST, ROW, client, pipe, run, stored, write


def test_a_file_is_imported_and_again_without_doubling_anything(clean: str, tmp_path: Path) -> None:
    rows = [{**ROW, "external_id": f"x{n}", "title": f"{n}"} for n in range(50)]
    file = write(tmp_path / "rows.jsonl", *rows)
    first = run(clean, file, "--batch", 20)
    assert (first.code, first.counts) == (0, (50, 0, 0, 0))
    again = run(clean, file, "--batch", 20)
    assert (again.code, again.counts) == (0, (0, 0, 50, 0))
    in_other_batches = run(clean, file, "--batch", 7)
    assert (in_other_batches.code, in_other_batches.counts) == (0, (0, 0, 50, 0))
    assert sorted(one["external_id"] for one in stored(clean)) == sorted(f"x{n}" for n in range(50))


def test_rows_without_an_external_id_are_not_doubled_by_a_second_run_either(
    clean: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "rows.jsonl", *[ROW] * 3)
    assert run(clean, file).counts == (3, 0, 0, 0)
    assert run(clean, file).counts == (0, 0, 3, 0)
    assert run(clean, file, "--update").counts == (0, 0, 3, 0)
    with client(clean) as api:
        api.delete(f"{LIST}/{stored(clean)[0]['id']}")
    # but what is gone since is made anew
    assert run(clean, file).counts == (1, 0, 2, 0)
    assert len(stored(clean)) == 3


def test_a_mended_file_doubles_no_row_that_was_good_before(clean: str, tmp_path: Path) -> None:
    bad, good = {"title": "Bins"}, {**ROW, "data": {"a": 1, "b": 2}}
    assert run(clean, write(tmp_path / "rows.jsonl", good, bad, ROW)).counts == (2, 0, 0, 1)
    mended = [ROW, {**bad, "schedule": "weekly"}, dict(reversed(good.items()))]
    file = write(tmp_path / "elsewhere.jsonl", *mended)
    assert run(clean, file, "--batch", 1, "--update").counts == (1, 0, 2, 0)
    assert len(stored(clean)) == 3


def test_the_second_row_with_an_external_id_is_rejected_and_names_the_first(
    clean: str, tmp_path: Path
) -> None:
    rows = [{**ROW, "external_id": name, "title": f"{name} {n}"} for n, name in enumerate("aba")]
    for arguments, counts in (
        ((), (2, 0, 0, 1)),
        (("--batch", 1), (0, 0, 2, 1)),
        (("--update",), (0, 2, 0, 1)),
    ):
        done = run(clean, write(tmp_path / "rows.jsonl", *rows), *arguments)
        assert (done.code, done.counts) == (1, counts)
        assert "line 3: external_id: 'a' is that of line 1 already" in done.err
    rejected = json.loads(Path(done.result["rejects"]).read_text())
    assert rejected["problem"]["type"] == "urn:notifier:problem:duplicate-external-id"
    assert {one["title"] for one in stored(clean)} == {"a 0", "b 1"}


def test_a_number_that_json_does_not_know_spoils_no_other_row(clean: str, tmp_path: Path) -> None:
    done = run(clean, write(tmp_path / "rows.jsonl", {**ROW, "data": {"n": float("nan")}}, ROW))
    assert (done.code, done.counts) == (1, (1, 0, 0, 1))


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("json", '[\n{"title": "A", "schedule": "daily"},\n{"title": "B", "schedule": "weekly"}]'),
        ("csv", "title,schedule\nA,daily\nB,weekly\n"),
        ("jsonl", '{"title": "A", "schedule": "daily"}\n{"title": "B", "schedule": "weekly"}'),
    ],
)
def test_every_format_is_read_from_standard_input_too(clean: str, form: str, text: str) -> None:
    assert pipe(clean, text).counts == (2, 0, 0, 0)
    assert {(one["title"], one["schedule"]["every"]) for one in stored(clean)} == {
        ("A", "daily"),
        ("B", "weekly"),
    }
    assert pipe(clean, text, "--format", form).counts == (0, 0, 2, 0)


def test_rejected_rows_are_written_down_with_line_and_problem(clean: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    good = json.dumps(ROW)
    file.write_text(f'{good}\n{{"title": ""}}\n\nnonsense\n{good}\n')
    done = run(clean, file)
    assert (done.code, done.counts) == (1, (2, 0, 0, 2))
    rejects = Path(done.result["rejects"])
    assert rejects == tmp_path / "rows.jsonl.rejects.jsonl"
    first, second = map(json.loads, rejects.read_text().splitlines())
    assert (first["line"], first["row"]) == (2, {"title": ""})
    assert {one["pointer"] for one in first["problem"]["errors"]} == {"/title", "/schedule"}
    assert (second["line"], second["row"]) == (4, "nonsense")
    assert "line 2: title: " in done.err
    assert "line 4: This is not JSON" in done.err


def test_a_row_that_was_refused_is_tried_anew_when_its_reason_is_gone(clean: str, tmp_path: Path) -> None:
    with client(clean) as api:
        made = api.post("/v1/notifications", json={**ROW, "external_id": "b"}).json()
        file = write(tmp_path / "rows.jsonl", *({**ROW, "external_id": name} for name in "ab"))
        assert run(clean, file).counts == (1, 0, 1, 0)
        api.delete(f"/v1/notifications/{made['id']}")
        assert run(clean, file).counts == (1, 0, 1, 0)
    assert sorted(one["external_id"] for one in stored(clean)) == ["a", "b"]


def test_an_update_replaces_what_is_there_and_makes_the_rest(clean: str, tmp_path: Path) -> None:
    run(clean, write(tmp_path / "old.jsonl", {**ROW, "external_id": "a"}))
    rows = [{**ROW, "external_id": "a", "title": "New"}, {**ROW, "external_id": "b/ä"}, ROW]
    done = run(clean, write(tmp_path / "rows.jsonl", *rows), "--update")
    assert (done.code, done.counts) == (0, (2, 1, 0, 0))
    found = {one["external_id"]: one["title"] for one in stored(clean)}
    (derived,) = found.keys() - {"a", "b/ä"}
    assert derived.startswith("import-")
    assert found == {"a": "New", "b/ä": ROW["title"], derived: ROW["title"]}


def test_what_stands_before_a_break_in_the_file_is_imported(clean: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text(f"[{json.dumps(ROW)}, {json.dumps(ROW)}, {{]")
    done = run(clean, file, "--batch", 1)
    assert (done.code, "line 1 is not JSON" in done.err) == (1, True)
    assert done.result["error"]
    assert len(stored(clean)) == done.result["created"] == 2
