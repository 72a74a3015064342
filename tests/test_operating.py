"""The page about operating names figures, checks and advice as they are."""

import re
from pathlib import Path

import yaml
from prometheus_client import REGISTRY

from notifier import worker  # noqa: F401 - all that counts is imported
from notifier.api.metrics import STANDING
from notifier.api.schemas.health import Checks
from notifier.observability import metrics
from notifier.pipeline import auditor

PAGE = (Path(__file__).parents[1] / "docs" / "operating.md").read_text()
READ = {f"notifier_{name}" for name in STANDING} | {
    f"notifier_{name}"
    for name in (
        "database_up",
        "redis_up",
        "redis_fit",
        "audit_up",
        "queue_length",
        "redis_memory_bytes",
        "redis_memory_limit_bytes",
    )
}


def counted() -> set[str]:
    """Return the names of what processes count; those of sweeps are shown from the first sweep on."""
    metrics.swept(0, 0.0)
    ours = [family for family in REGISTRY.collect() if family.name.startswith("notifier_")]
    return {family.name + ("_total" if family.type == "counter" else "") for family in ours}


def rows_below(heading: str) -> set[str]:
    """Return the first cells of the table below a heading."""
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", part, re.M))


def test_every_figure_that_there_is_and_no_other_stands_in_the_page() -> None:
    named = set(re.findall(r"\bnotifier_[a-z_]+", PAGE))
    beside = {f"notifier_deliveries{name}" for name in re.findall(r"`(_\w+)`", PAGE)}
    assert named | beside == READ | counted()


def test_every_figure_of_the_auditor_stands_in_the_page() -> None:
    assert rows_below("The auditor") == set(auditor.ADVICE)


def test_every_check_of_readyz_stands_in_the_page() -> None:
    assert rows_below("Probes") == set(Checks.model_fields)


def test_the_alarms_can_be_read() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    rules = yaml.safe_load(block)["groups"][0]["rules"]
    assert len(rules) == 6
    assert all({"alert", "expr"} <= set(rule) for rule in rules)


def test_figures_are_text_that_prometheus_reads() -> None:
    assert metrics.render().startswith(b"# HELP ")
