"""`notifier import` and the service: how it is found, asked again, waited for, and what is none."""

import asyncio
from pathlib import Path

import pytest

from notifier.cli import client as client_of_commands
from notifier.embedded import running
from notifier.embedded.folder import DataFolder
from tests.cli.importer import ROW, run, stored, write
from tests.cli.test_up import data_dir  # noqa: F401 - a fixture
from tests.cli.troubled import troubled
from tests.processes import API_KEY
from tests.servers import free_port


async def test_a_busy_service_is_asked_again_after_the_time_that_it_names(clean: str, tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", ROW, ROW)
    async with troubled(clean, "503", "503") as (url, way):
        done = await asyncio.to_thread(run, url, file)
    assert (done.code, done.counts) == (0, (2, 0, 0, 0))
    assert len(way.seen) == 3
    assert done.result["seconds"] >= 2
    assert done.err.splitlines() == [f"Waiting: {url} answers 503: busy"]


async def test_pages_that_are_no_answers_of_the_service_are_told_of(clean: str, tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", ROW)
    async with troubled(clean, "<h1>502</h1>", "<h1>Welcome</h1>") as (url, _):
        done = await asyncio.to_thread(run, url, file)
    assert (done.code, done.result["error"]) == (1, "what answers there is not notifier")
    assert f"{url} answers 502" in done.err


def test_where_nobody_ever_answered_it_waits_a_little_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_of_commands, "STRANGER_SECONDS", 0.3)
    url = f"http://127.0.0.1:{free_port()}"
    done = run(url, write(tmp_path / "rows.jsonl", ROW), as_json=False)
    waiting, error = done.err.splitlines()
    assert (done.code, done.out) == (1, "")
    assert waiting == f"Waiting: {url} cannot be reached: Connection refused"
    assert error.startswith("Error: " + waiting.removeprefix("Waiting: "))
    assert "again" not in error


async def test_a_service_that_goes_away_is_waited_for_longer(
    clean: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_of_commands, "STRANGER_SECONDS", 0.0)
    monkeypatch.setattr(client_of_commands, "TRIES", 3)
    async with troubled(clean, *["503"] * 9) as (url, way):
        done = await asyncio.to_thread(run, url, write(tmp_path / "rows.jsonl", ROW))
    assert (done.code, len(way.seen)) == (1, 3)
    assert "busy. Run the same command again to go on" in done.err


async def test_a_batch_whose_answer_was_lost_is_not_stored_twice(clean: str, tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", *[{**ROW, "title": "Lost and found"}] * 3)
    async with troubled(clean, "lost", "lost") as (url, way):
        done = await asyncio.to_thread(run, url, file)
    assert (done.code, done.counts) == (0, (3, 0, 0, 0))
    keys = [key for _, key in way.seen if key]
    assert (len(keys), len(set(keys))) == (3, 1)
    assert len(stored(clean)) == 3


def test_a_wrong_key_or_address_ends_it_at_once(clean: str, tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", ROW)
    wrong_key = run(clean, file, NOTIFIER_API_KEY="ntf_wrong")
    assert (wrong_key.code, wrong_key.counts) == (1, (0, 0, 0, 0))
    assert "The API key is not valid" in wrong_key.err
    assert ("again" in wrong_key.err, ".." in wrong_key.err) == (False, False)
    nowhere = run("nonsense", file)
    assert (nowhere.code, "is not the address of a service" in nowhere.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["no-such-file"], "no-such-file cannot be read"),
        (["-", "--format", "xml"], "--format is jsonl, json or csv"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(clean: str, arguments: list[str], why: str) -> None:
    done = run(clean, *arguments)
    assert (done.code, why in done.err) == (2, True), done.err


def test_without_a_key_the_folder_is_named_in_which_there_is_none(clean: str, tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", ROW)
    done = run(clean, file, NOTIFIER_API_KEY="", NOTIFIER_DATA_DIR=str(tmp_path))
    assert (done.code, str(tmp_path) in done.err) == (2, True)
    (tmp_path / "api-key").write_text(API_KEY + "\n")
    done = run(clean, file, NOTIFIER_API_KEY="", NOTIFIER_DATA_DIR=str(tmp_path))
    assert done.counts == (1, 0, 0, 0)


def test_the_service_that_runs_on_the_data_folder_is_found(clean: str, data_dir: Path) -> None:  # noqa: F811
    folder = DataFolder.open(data_dir)
    folder.tell_address(clean)
    file = write(data_dir.with_name("rows.jsonl"), ROW)
    assert run("", file, "--data-dir", data_dir).counts == (1, 0, 0, 0)
    folder.close()
    assert running.address_of(data_dir) is None


def test_the_key_of_a_folder_on_which_nothing_runs_goes_to_no_other_service(tmp_path: Path) -> None:
    (tmp_path / "api-key").write_text(API_KEY + "\n")
    file = write(tmp_path / "rows.jsonl", ROW)
    done = run("", file, "--data-dir", tmp_path, NOTIFIER_API_KEY="")
    assert (done.code, f"no `notifier up` runs on {tmp_path}" in done.err) == (2, True)


def test_what_no_second_run_can_help_asks_for_none(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("title,when\nA,daily\n")
    done = run("http://127.0.0.1:9", file, as_json=False)
    assert (done.code, done.out, "again" in done.err) == (1, "", False)
    assert "unknown column 'when'" in done.err
