"""Figures for Prometheus: what this process did, counted as it happens; no figure names a project or a user.

Every process keeps its own. The API shows its own at `/metrics`, together with what it reads from the
database and from Redis; worker and scheduler show theirs where `NOTIFIER_METRICS_PORT` is set.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

log = structlog.get_logger(__name__)

MEDIA_TYPE = CONTENT_TYPE_LATEST
disable_created_metrics()  # type: ignore[no-untyped-call]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ATTEMPT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30)
SWEEP_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120)

_requests = Histogram(
    "notifier_http_request_duration_seconds",
    "Time to answer a request, by the route's template and the class of the status",
    ("method", "route", "status"),
    buckets=REQUEST_BUCKETS,
)
_attempts = Histogram(
    "notifier_attempt_duration_seconds",
    "Time of an attempt, from the claim until the outcome is known",
    ("kind", "outcome"),
    buckets=ATTEMPT_BUCKETS,
)
_verdicts = Counter(
    "notifier_deliveries_total",
    "Attempts by what became of the delivery: its new status, and the reason if it ended",
    ("kind", "status", "reason"),
)
# without labels they would be shown as 0 from the start, by processes too that never sweep: see `swept`
_sweeps = Histogram(
    "notifier_sweep_duration_seconds", "Time of a sweep", buckets=SWEEP_BUCKETS, registry=None
)
_planned = Counter(
    "notifier_notifications_planned_total", "Due notifications that were planned", registry=None
)
_rescued = Counter(
    "notifier_rescued_total", "Deliveries that the rescuer freed, ended or rang for", ("what",)
)
_audit = Gauge("notifier_audit", "What there should be none of, as the auditor counted it", ("figure",))


def requested(method: str, route: str | None, status: int | None, seconds: float) -> None:
    """Count a request; `route` is the template, None where none fits, `status` None if nobody waited."""
    known = method if method in METHODS else "other"
    _request_series(known, route or "none", f"{status // 100}xx" if status else "none").observe(seconds)


def attempted(kind: str, outcome: str, status: str, reason: str | None, seconds: float) -> None:
    """Count an attempt and what became of its delivery."""
    _attempt_series(kind, outcome).observe(seconds)
    _verdict_series(kind, status, reason or "").inc()


def swept(planned: int, seconds: float) -> None:
    """Count a sweep and the notifications that it planned."""
    _show_sweeps()
    _sweeps.observe(seconds)
    _planned.inc(planned)


@cache
def _show_sweeps() -> None:
    """Show the figures of sweeps from now on."""
    REGISTRY.register(_sweeps)
    REGISTRY.register(_planned)


def rescued(counts: Mapping[str, int]) -> None:
    """Count what one pass of the rescuer did, by what it was."""
    for what, count in counts.items():
        _rescued.labels(what).inc(count)


def audited(figures: Mapping[str, int]) -> None:
    """Show the auditor's figures until the next ones."""
    for name, count in figures.items():
        _audit.labels(name).set(count)


def forget_audit() -> None:
    """Show no figures of the auditor until there are new ones."""
    _audit.clear()


# `labels` costs more than what it is asked for: a series is looked up once
_request_series = cache(_requests.labels)
_attempt_series = cache(_attempts.labels)
_verdict_series = cache(_verdicts.labels)


def gauge(name: str, help_: str, values: Mapping[str, float], label: str | None = None) -> Metric:
    """Return a gauge for `render`; without a label `values` has one entry, under ''."""
    family = GaugeMetricFamily(f"notifier_{name}", help_, labels=[label] if label else None)
    for key, value in values.items():
        family.add_metric([key] if label else [], value)
    return family


@dataclass(frozen=True, slots=True)
class Given(Collector):
    """Figures that are read just now, rather than counted here."""

    families: Iterable[Metric]

    def collect(self) -> Iterable[Metric]:
        """Return the figures."""
        return self.families


def render(more: Iterable[Metric] = ()) -> bytes:
    """Return all figures of this process, and `more`, as Prometheus reads them."""
    return generate_latest(REGISTRY) + generate_latest(Given(more))


def serve(host: str, port: int | None) -> None:
    """Show this process's figures over HTTP, in a thread; a port that is taken costs the figures only."""
    if port is None:
        return
    try:
        start_http_server(port, host)
    except OSError as error:
        log.error("metrics.unavailable", port=port, error=str(error))
