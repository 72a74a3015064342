"""The benchmarks run, and keep what they measured."""

import json
from pathlib import Path

import pytest
from benchmarks import schedules


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
