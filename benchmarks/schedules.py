"""What the next slot costs, beside the expansion libraries' own answer to the same rule.

The contestants take turns, ten questions each, so that a busy machine slows all of them alike, and none only
refills the processor's caches after another. All answers must agree. The libraries work on local times
without a zone, which is less than what we do: they never learn of an offset.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import quantiles
from time import perf_counter_ns
from typing import Any

from cronsim import CronSim
from dateutil import rrule as dateutil  # type: ignore[import-untyped]

from benchmarks.parts import Run
from benchmarks.results import RESULTS, keep
from notifier.clock import utc_now
from notifier.domain import schedule
from notifier.domain.schedule import zones

ZONE = "Europe/Berlin"
AT_NINE = {"kind": "calendar", "times": ["09:00"], "timezone": ZONE}
STRIDE = timedelta(hours=37, minutes=11, seconds=13)
"""Between the instants asked: no multiple of a day, so all times of a day come up, over years."""

QUESTIONS_A_TURN = 10

Ask = Callable[[datetime], datetime | None]


@dataclass(slots=True)
class Contestant:
    """One way to find the next slot: UTC in, UTC or naive local time out; with the seconds it took."""

    name: str
    ask: Ask
    seconds: list[float] = field(default_factory=list)

    def time(self, at: datetime) -> datetime | None:
        """Ask once, and note how long that took."""
        start = perf_counter_ns()
        found = self.ask(at)
        self.seconds.append((perf_counter_ns() - start) / 1e9)
        return found


@dataclass(frozen=True, slots=True)
class Case:
    """One rule that began at one instant, and who is asked for it; the first one is ours."""

    rule: str
    began: str
    contestants: Sequence[Contestant]


def ours(value: dict[str, Any]) -> list[Contestant]:
    """Return our two ways: with the schedule at hand, and from its JSON, as the planner does it."""
    rule = schedule.parse(value)
    anchor = rule.limits.start_at or datetime(2020, 1, 1, tzinfo=UTC)

    def parsed_anew(at: datetime) -> datetime | None:
        return schedule.next_slot(schedule.parse(value), after=at, anchor=anchor)

    return [
        Contestant("notifier", lambda at: schedule.next_slot(rule, after=at, anchor=anchor)),
        Contestant("notifier, from JSON", parsed_anew),
    ]


def of_dateutil(frequency: int, began: datetime, zone: str, **more: Any) -> list[Contestant]:
    """Return dateutil's ways: a rule kept with its cache, and one built for every question."""
    build = partial(dateutil.rrule, frequency, dtstart=began, **more)
    kept = build(cache=True)
    local = partial(_local, zone=zone)
    return [
        Contestant("dateutil, kept and cached", lambda at: kept.after(local(at))),
        Contestant("dateutil, built anew", lambda at: build().after(local(at))),
    ]


def of_cronsim(expression: str) -> list[Contestant]:
    """Return cronsim's only way, for it iterates: built for every question."""
    return [Contestant("cronsim, built anew", lambda at: next(CronSim(expression, _local(at, zone=ZONE))))]


def cases(today: datetime) -> Iterator[Case]:
    """Yield every rule, begun in 1970, in 2020 and today."""
    for began in (*map(datetime.fromisoformat, ("1970-01-01T09:00", "2020-01-01T09:00")), today):
        day = began.date().isoformat()
        calendar = {**AT_NINE, "start_date": day}
        grid = {"kind": "interval", "every": "daily", "anchor": "grid", "start_at": f"{day}T09:00:00Z"}
        rrule = {"kind": "rrule", "dtstart": f"{day}T09:00", "timezone": ZONE}
        weekdays = {"frequency": "weekly", "weekdays": ["mon", "thu"]}
        month = {"frequency": "monthly", "month_days": [-1]}
        yield Case("interval grid, daily", day, [*ours(grid), *of_dateutil(dateutil.DAILY, began, "UTC")])
        yield Case(
            "calendar daily",
            day,
            [*ours({**calendar, "frequency": "daily"}), *of_dateutil(dateutil.DAILY, began, ZONE)],
        )
        yield Case(
            "calendar weekly, Mon and Thu",
            day,
            [*ours({**calendar, **weekdays}), *of_dateutil(dateutil.WEEKLY, began, ZONE, byweekday=(0, 3))],
        )
        yield Case(
            "calendar monthly, last day",
            day,
            [*ours({**calendar, **month}), *of_dateutil(dateutil.MONTHLY, began, ZONE, bymonthday=-1)],
        )
        yield Case(
            "rrule monthly, last Friday",
            day,
            [
                *ours({**rrule, "rrule": "FREQ=MONTHLY;BYDAY=-1FR"}),
                *of_dateutil(dateutil.MONTHLY, began, ZONE, byweekday=dateutil.FR(-1)),
            ],
        )
    for expression in ("0 9 * * *", "0 9 * * 1-5", "0 9 29 2 *"):
        rule = {"kind": "cron", "expression": expression, "timezone": ZONE}
        yield Case(f"cron {expression}", "any", [*ours(rule), *of_cronsim(expression)])


def run(turns: int, today: datetime) -> list[Case]:
    """Give every contestant of every case so many turns; raises AssertionError where answers differ."""
    found = list(cases(today))
    for case in found:
        for turn in range(turns + 1):
            _take_turns(case, today.replace(tzinfo=UTC) + turn * QUESTIONS_A_TURN * STRIDE)
        for one in case.contestants:
            del one.seconds[:QUESTIONS_A_TURN]  # the first turn fills caches
    return found


def figures(case: Case) -> Iterator[dict[str, Any]]:
    """Yield microseconds (median, 10th, 90th and 99th percentile) and the ratio to our median."""
    ours_us = _percentiles(case.contestants[0])[49]
    for one in case.contestants:
        at = _percentiles(one)
        yield {
            "rule": case.rule,
            "began": case.began,
            "by": one.name,
            "median_us": round(at[49], 2),
            "p10_us": round(at[9], 2),
            "p90_us": round(at[89], 2),
            "p99_us": round(at[98], 2),
            "times_ours": round(at[49] / ours_us, 2),
        }


def table(found: Sequence[Case]) -> Iterator[str]:
    """Yield the lines of a Markdown table: medians in microseconds, with their spread or their ratio."""
    yield "| rule | begun | notifier (p10 - p90, p99) | from JSON | library, kept | library, built anew |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for case in found:
        rows = {row["by"].partition(", ")[2]: row for row in figures(case)}
        own = rows[""]
        spread = f"({own['p10_us']:.0f} - {own['p90_us']:.0f}, {own['p99_us']:.0f})"
        others = [_ratio(rows.get(name)) for name in ("from JSON", "kept and cached", "built anew")]
        cells = [case.rule.replace("*", r"\*"), case.began, f"**{own['median_us']:.1f}** {spread}", *others]
        yield f"| {' | '.join(cells)} |"


def measure(running: Run) -> None:
    """Measure for `make bench`."""
    main(["--turns", str(running.pick(50, 1)), "--results", str(running.results)])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the results and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=50, help="of ten questions each (default: 50)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the figures go")
    given = parser.parse_args(arguments)
    if given.turns < 1:
        parser.error("--turns must be 1 or more")
    today = utc_now().replace(hour=9, minute=0, second=0, microsecond=0, tzinfo=None)
    found = run(given.turns, today)
    rows = [row for case in found for row in figures(case)]
    kept = {"questions": given.turns * QUESTIONS_A_TURN, "figures": rows}
    keep(given.results, "schedules", kept, ("cronsim", "python-dateutil", "tzdata"))
    sys.stdout.write("\n".join(table(found)) + "\n")


def _take_turns(case: Case, start: datetime) -> None:
    zone = "UTC" if case.rule.startswith("interval") else ZONE
    asked = [start + n * STRIDE for n in range(QUESTIONS_A_TURN)]
    answers = {tuple(_naive(one.time(at), zone) for at in asked) for one in case.contestants}
    assert len(answers) == 1, f"{case.rule}, begun {case.began}, after {start}: {answers}"


def _percentiles(one: Contestant) -> list[float]:
    return [second * 1e6 for second in quantiles(one.seconds, n=100)]


def _ratio(row: dict[str, Any] | None) -> str:
    return f"{row['median_us']:.1f} (x {row['times_ours']:.1f})" if row else "-"


def _local(at: datetime, *, zone: str) -> datetime:
    return at.astimezone(zones.load(zone) if zone != "UTC" else UTC).replace(tzinfo=None)


def _naive(found: datetime | None, zone: str) -> datetime | None:
    return _local(found, zone=zone) if found and found.tzinfo else found


if __name__ == "__main__":
    main()
