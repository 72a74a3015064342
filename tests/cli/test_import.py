"""`notifier import`: files become notifications, once, whatever comes in between."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from notifier import cli
from notifier.cli import client as client_of_commands
from notifier.embedded import running
from notifier.embedded.folder import DataFolder
from tests import servers
from tests.cli.test_up import data_dir, free_port  # noqa: F401 - a fixture
from tests.cli.troubled import troubled
from tests.processes import API_KEY, open_roles
from tests.servers import wait_until

LIST = "/v1/notifications"
ROW = {"title": "Water the plants", "schedule": "daily"}


@pytest.fixture(scope="module")
async def url(
    servers_folder: Path, postgres_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """Yield the address of a service, as its processes run it."""
    database_url = await servers.copy_database(postgres_url, template)
    redis_url = servers.shared_urls(servers_folder)["redis"].replace("db=0", "db=62")
    port = free_port()
    with open_roles(tmp_path_factory.mktemp("import") / "roles", database_url, redis_url) as roles:
        roles.run("migrate")
        api = roles.start("api", PORT=port)
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(address) or api.exit_code() is not None, 60)
        yield address
    await servers.drop_database(postgres_url, database_url)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def clean(url: str) -> Iterator[str]:
    """Yield the service's address with no notification in it."""
    yield url
    with client(url) as api:
        while items := api.get(LIST, params={"limit": 100}).json()["items"]:
            for one in items:
                api.delete(f"{LIST}/{one['id']}")


def client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=30)


def stored(url: str) -> list[dict[str, Any]]:
    with client(url) as api:
        items: list[dict[str, Any]] = api.get(LIST, params={"limit": 100}).json()["items"]
    return items


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, Any]:
        """What `--json` told."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Created, updated, already there, rejected."""
        told = self.result
        return told["created"], told["updated"], told["already_there"], told["rejected"]


def run(url: str, *arguments: object, as_json: bool = True, **settings: str) -> Done:
    """Run the command in this process."""
    env = {"NOTIFIER_URL": url, "NOTIFIER_API_KEY": API_KEY, "NOTIFIER_DATA_DIR": None, **settings}
    done = CliRunner().invoke(cli.app, ["import", *map(str, arguments), *["--json"] * as_json], env=env)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return Done(done.exit_code, done.stdout, done.stderr)


def pipe(url: str, stdin: str, *arguments: str) -> Done:
    """Run the command in a process of its own, which reads from a pipe."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFIER_")}
    done = subprocess.run(
        [sys.executable, "-m", "notifier", "import", "-", *arguments, "--json"],
        env={**kept, "NOTIFIER_URL": url, "NOTIFIER_API_KEY": API_KEY, "NO_COLOR": "1"},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


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


def test_what_no_second_run_can_help_asks_for_none(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("title,when\nA,daily\n")
    done = run("http://127.0.0.1:9", file, as_json=False)
    assert (done.code, done.out, "again" in done.err) == (1, "", False)
    assert "unknown column 'when'" in done.err


def test_what_stands_before_a_break_in_the_file_is_imported(clean: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text(f"[{json.dumps(ROW)}, {json.dumps(ROW)}, {{]")
    done = run(clean, file, "--batch", 1)
    assert (done.code, "line 1 is not JSON" in done.err) == (1, True)
    assert done.result["error"]
    assert len(stored(clean)) == done.result["created"] == 2
