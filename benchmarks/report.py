"""Writes what `results.json` says into docs/benchmarks.md, between its markers, and draws the plots."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.results import RESULTS, figures
from benchmarks.servers import PEERS_PYTHON, ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
IMAGES = ROOT / "docs" / "images"
BLOCK = re.compile(r"(<!-- (\w+): (\w+) -->\n).*?(<!-- end -->)", re.S)

Figures = Mapping[str, Mapping[str, Any]]

AIMS = (
    (
        "due_minute.x_seed.1p",
        ">= 12",
        "a due minute with one worker process, over the replaced stack",
    ),
    ("due_minute.x_seed.2p", ">= 15", "the same with two of each"),
    ("due_minute_50ms.x_seed.2p", ">= 60", "the same where receivers take 50 ms to answer"),
    ("due_minute.of_http_limit.2p", ">= 0.35", "of what aiohttp alone can send"),
    ("bulk_enqueue.x_celery", ">= 40", "jobs into Redis, over Celery's fastest way"),
    ("consume.x_best_peer.1p", ">= 3.5", "jobs through one worker process, over the best of six libraries"),
    ("redis_round_trips_per_delivery", "<= 0.2", "round trips to Redis for one delivery"),
    (
        "sweep_idle.5m_over_1m",
        "<= 1.5",
        "a sweep that finds nothing due: 5 million rows over 1 million",
    ),
    ("planners.2_over_1", ">= 0.8", "two planners at once over one"),
    ("api.x_flask.get", ">= 2", "GET one notification, over Flask"),
    ("api.x_flask.list", ">= 2", "a list of 50, over Flask"),
    ("api.x_flask.post", ">= 2", "creating one, over Flask"),
    ("api.p99_over_p50.get", "<= 5", "the slowest hundredth of GETs over the middle one"),
    ("import.rows_per_s", ">= 2000", "rows per second of `notifier import`, from its start to its end"),
    ("import.x_single_post", ">= 5", "the same over a POST for each row, 32 at once"),
    ("soak.lost", "<= 0", "messages lost in the soak"),
    ("soak.doubled", "<= 0", "messages that came twice in the soak, where nothing fails"),
    ("soak.lag_p99_s", "<= 65", "seconds from due to received in the soak, 99th percentile"),
    ("soak.memory_growth_percent", "<= 5", "growth of the memory of any process in the soak"),
)
CONTESTANTS = {
    "ours": "**notifier**",
    "seed": "replaced stack: Celery, ORM, requests",
    "celery_tuned": "Celery, tuned",
    "arq": "arq as it comes",
    "http_limit": "limit: aiohttp alone",
}
QUEUES = ("ours", "celery", "arq", "saq", "taskiq", "dramatiq", "procrastinate")


def page(text: str, found: Figures, parts: Mapping[str, Any]) -> str:
    """Return the page with its tables written anew."""

    def block(match: re.Match[str]) -> str:
        kind, name = match[2], match[3]
        lines = _listed(parts.get(name, {})) if kind == "figures" else TABLES[name](found)
        return match[1] + "".join(f"{line}\n" for line in lines) + match[4]

    return BLOCK.sub(block, text)


def write(results: Path = RESULTS, target: Path = PAGE) -> None:
    """Bring the page up to date."""
    target.write_text(page(target.read_text(), figures(results), json.loads(results.read_text())))


def draw(results: Path = RESULTS, folder: Path = IMAGES) -> None:
    """Draw the plots anew, with the peers' matplotlib."""
    folder.mkdir(exist_ok=True)
    subprocess.run([PEERS_PYTHON, Path(__file__).with_name("plots.py"), results, folder], check=True)


def holds(value: float, aim: str) -> bool:
    """Say whether a value is as aimed at: `>= 2`, `<= 5`."""
    sign, edge = aim.split()
    return value >= float(edge) if sign == ">=" else value <= float(edge)


def _aims(found: Figures) -> Iterator[str]:
    yield from _head("figure", "what", "aim", "measured")
    for name, aim, what in AIMS:
        yield _row(f"`{name}`", what, aim, _cell(found.get(name)))


def _due_minute(found: Figures) -> Iterator[str]:
    yield from _head(
        "deliveries per second", "1 process", "2 processes", "2, receiver takes 50 ms", "2, 200 receivers"
    )
    cases = ("due_minute.{}.1p", "due_minute.{}.2p", "due_minute_50ms.{}.2p", "due_minute_200_hosts.{}.2p")
    for name, what in CONTESTANTS.items():
        yield _row(what, *(_cell(found.get(case.format(name))) for case in cases))
    yield ""
    yield f"The receiver alone answers {_cell(found.get('due_minute.receiver'))} POSTs per second."


def _queue(found: Figures) -> Iterator[str]:
    yield from _head("jobs per second", "enqueue, fastest way", "one by one", "run, 1 process", "run, 2")
    cases = ("bulk_enqueue.{}", "bulk_enqueue.{}_one_by_one", "consume.{}.1p", "consume.{}.2p")
    for name in QUEUES:
        label = "**notifier**" if name == "ours" else name
        yield _row(label, *(_cell(found.get(case.format(name))) for case in cases))


def _round_trips(found: Figures) -> Iterator[str]:
    yield from _head("who", "round trips to Redis per delivery")
    for ending, who in (("", "**notifier**"), (".celery", "Celery"), (".arq", "arq as it comes")):
        yield _row(who, _cell(found.get(f"redis_round_trips_per_delivery{ending}")))


def _due_plot(found: Figures) -> Iterator[str]:
    if "due_minute.ours.2p" in found:
        yield "![Deliveries per second in a due minute](images/due-minute.svg)"


def _queue_plot(found: Figures) -> Iterator[str]:
    if "consume.ours.1p" in found:
        yield "![Jobs per second into the queue and through a worker](images/queue.svg)"


TABLES = {
    "aims": _aims,
    "due": _due_minute,
    "due_plot": _due_plot,
    "queue": _queue,
    "queue_plot": _queue_plot,
    "round_trips": _round_trips,
}


def _listed(part: Mapping[str, Any]) -> Iterator[str]:
    """Yield all figures of a part, one in a row."""
    if not part:
        yield "Not measured yet."
        return
    yield from _head("figure", "median (least - greatest)", "unit")
    for name, row in part["figures"].items():
        yield _row(f"`{name}`", _cell(row), row["unit"])
    yield ""
    machine = f"{part['processor']}, {part['cores']} cores, {part['python']}"
    yield f"Measured {part['measured_at'][:10]}: {machine}."


def _head(*names: str) -> Iterator[str]:
    yield _row(*names)
    yield _row(*("---" for _ in names))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    if row["rounds"] == 1:
        return _number(row["value"])
    return f"{_number(row['value'])} ({_number(row['min'])} - {_number(row['max'])})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    write()
    draw()
