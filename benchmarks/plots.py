"""Draws the plots as SVG: `plots.py RESULTS FOLDER`. Runs in the peers' environment, which has matplotlib."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
# the same figures give the same file, and its text stays text
mpl.rcParams.update({"svg.hashsalt": "notifier", "svg.fonttype": "none", "font.size": 10})

from matplotlib import pyplot  # noqa: E402

OURS, THEIRS, LIMIT = "#1f6feb", "#b8c0cc", "#e3b341"
DUE = {
    "seed": "replaced stack",
    "arq": "arq as it comes",
    "celery_tuned": "Celery, tuned",
    "ours": "notifier",
    "http_limit": "limit: aiohttp alone",
}
QUEUES = {name: name for name in ("procrastinate", "dramatiq", "taskiq", "saq", "arq", "celery")} | {
    "ours": "notifier"
}
PLOTS = {
    "due-minute": (
        "A due minute, deliveries per second, 2 processes",
        DUE,
        {"receiver answers at once": "due_minute.{}.2p", "receiver takes 50 ms": "due_minute_50ms.{}.2p"},
    ),
    "queue": (
        "The queue alone, jobs per second",
        QUEUES,
        {"enqueue, fastest way": "bulk_enqueue.{}", "run jobs, 1 process": "consume.{}.1p"},
    ),
}


Labels = dict[str, str]


def draw(title: str, labels: Labels, panels: Labels, figures: dict[str, Any], path: Path) -> None:
    """Draw one plot: a panel beside the other, a bar for each contestant, with its spread."""
    shape = {"figsize": (9, 0.42 * len(labels) + 1.1), "layout": "constrained", "sharey": True}
    figure, axes = pyplot.subplots(1, len(panels), **shape)
    figure.suptitle(title, fontsize=11)
    for axis, (heading, pattern) in zip(axes, panels.items(), strict=True):
        rows = {name: figures[pattern.format(name)] for name in labels if pattern.format(name) in figures}
        values = [row["value"] for row in rows.values()]
        below = [row["value"] - row["min"] for row in rows.values()]
        above = [row["max"] - row["value"] for row in rows.values()]
        colours = [{"ours": OURS, "http_limit": LIMIT}.get(name, THEIRS) for name in rows]
        names = [labels[name] for name in rows]
        bars = axis.barh(
            names, values, xerr=[below, above], color=colours, error_kw={"ecolor": "#57606a", "lw": 1}
        )
        axis.bar_label(bars, [f"{value:,.0f}" for value in values], padding=6, fontsize=9)
        axis.set_title(heading, fontsize=10)
        axis.set_xlim(right=max(values) * 1.25)
        axis.set_xticks([])
        axis.spines[["top", "right", "bottom"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    """Draw what has been measured."""
    found = json.loads(Path(sys.argv[1]).read_text())
    parts = [part["figures"] for part in found.values() if isinstance(part["figures"], dict)]
    figures = {name: row for part in parts for name, row in part.items()}
    for name, (title, labels, panels) in PLOTS.items():
        if all(pattern.format("ours") in figures for pattern in panels.values()):
            draw(title, labels, panels, figures, Path(sys.argv[2]) / f"{name}.svg")


if __name__ == "__main__":
    main()
