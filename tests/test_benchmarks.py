"""The benchmarks run, and keep what they measured."""

import json
from importlib import import_module
from pathlib import Path

import pytest
from benchmarks import importing, report, schedules, soak
from benchmarks.due_minute import Field, Minute
from benchmarks.parts import PARTS, Run
from benchmarks.queue_speed import LIBRARIES, Queues
from benchmarks.receiver import open_receiver
from benchmarks.results import RESULTS, figures
from benchmarks.round_trips import open_round_trips
from benchmarks.rounds import Figure, ratio
from benchmarks.servers import open_servers


@pytest.mark.long
def test_the_schedules_benchmark_measures_every_rule_and_keeps_other_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.json"
    results.write_text('{"other": {"kept": true}}')
    schedules.main(["--turns", "1", "--results", str(results)])
    kept = json.loads(results.read_text())
    assert kept["other"] == {"kept": True}
    rows = kept["schedules"]["figures"]
    assert {row["began"][:4] for row in rows} >= {"1970", "2020", "any"}
    assert all(0 < row["p10_us"] <= row["median_us"] <= row["p90_us"] <= row["p99_us"] for row in rows)
    printed = capsys.readouterr().out
    assert all(row["rule"].replace("*", r"\*") in printed for row in rows)


def test_the_kept_figures_hold_what_the_docs_promise() -> None:
    """Next slot of calendar and interval schedules in under 50 microseconds median, whatever their age."""
    kept = json.loads(schedules.RESULTS.read_text())["schedules"]["figures"]
    ours = {
        (row["rule"], row["began"]): row["median_us"]
        for row in kept
        if row["by"] == "notifier" and row["rule"].startswith(("calendar", "interval"))
    }
    assert len(ours) == 12
    assert max(ours.values()) < 50


@pytest.mark.long
@pytest.mark.timeout(300)  # a minute of processes being started, where the machine has much else to do
def test_a_due_minute_runs_from_the_sweep_to_the_last_record_with_everything_that_needs_no_peers() -> None:
    """Small numbers, no times: it is the benchmark's own checks for lost and doubled messages that count."""
    with open_servers() as servers, open_receiver(servers) as receiver, open_round_trips(servers) as trips:
        field = Field(servers, receiver)
        ours = field.ours(Minute(40, processes=1), redis_url=trips.url)
        theirs = [field.arq(Minute(10, processes=1)), field.limit(Minute(40, delay=0.01))]
        assert all(span.rate > 0 for span in (ours, *theirs))
        assert 0 < trips.between(ours.began, ours.ended) < 40_000
        queues = Queues(servers)
        for library in (one for one in LIBRARIES if one.in_ours):
            assert queues.enqueue(library, library.ways[0], 50) > 0
            assert queues.consume(library, 1, 50) > 0


@pytest.mark.long
@pytest.mark.timeout(300)
def test_an_import_brings_in_every_row_each_way(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    importing.measure(Run(quick=True, rounds=1, results=results))
    assert all(row["value"] > 0 for row in figures(results).values())


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_short_soak_loses_and_doubles_nothing(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    soak.measure(Run(quick=True, rounds=1, results=results))
    found = figures(results)
    assert (found["soak.lost"]["value"], found["soak.doubled"]["value"]) == (0, 0)
    assert found["soak.messages_per_s"]["value"] > 0


def test_every_part_can_be_measured() -> None:
    names = [part.name for part in PARTS]
    assert len(names) == len(set(names))
    assert all(callable(import_module(part.module).measure) for part in PARTS)


def test_the_page_says_what_was_measured() -> None:
    text = report.PAGE.read_text()
    assert report.page(text, figures(), json.loads(RESULTS.read_text())) == text


def test_no_kept_figure_comes_from_a_quick_run() -> None:
    kept = json.loads(RESULTS.read_text())
    assert [name for name, part in kept.items() if part.get("quick")] == []


def test_the_page_shows_a_figure_with_its_spread(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    found = {
        "due_minute.ours.2p": Figure(8123.4, 7900, 8300, "/s", 3),
        "due_minute.x_seed.2p": ratio([30], [2]),
    }
    Run(results=results).keep("due_minute", found)
    text = "a\n<!-- table: due -->\nold\n<!-- end -->\n<!-- table: aims -->\n<!-- end -->\nb\n"
    page = report.page(text, figures(results), json.loads(results.read_text()))
    assert "| **notifier** | - | 8,123 (7,900 - 8,300) | - | - |" in page
    assert "| >= 15 | 15 |" in page
    assert "old" not in page
    assert page.startswith("a\n")
    assert page.endswith("b\n")


def test_every_aim_has_been_measured() -> None:
    """That it holds is for the page to say; that it is there is for us."""
    assert [name for name, _, _ in report.AIMS if name not in figures()] == []
