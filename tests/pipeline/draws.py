"""What the state machine of the ledger draws from."""

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from notifier.domain.delivery import AttemptOutcome, Outcome, Reason
from tests.pipeline.world import LEASE

BERLIN = {"timezone": "Europe/Berlin"}
SCHEDULES: tuple[Any, ...] = (
    "daily",
    {"kind": "interval", "every": "PT1H"},
    {"kind": "interval", "every": "PT6H", "anchor": "grid"},
    {"kind": "interval", "every": "PT2H", "max_occurrences": 2},
    {"kind": "calendar", "frequency": "daily", "times": ["02:30"], **BERLIN},
    {"kind": "calendar", "frequency": "daily", "times": ["09:00", "18:00"], **BERLIN, "max_occurrences": 3},
    {
        "kind": "calendar",
        "frequency": "daily",
        "times": ["08:00", "20:00"],
        **BERLIN,
        "missed": {"policy": "all"},
    },
    {"kind": "cron", "expression": "*/20 * * * *", **BERLIN},
    {"kind": "cron", "expression": "0 * * * *", **BERLIN, "missed": {"policy": "skip", "grace": "PT10M"}},
    {"kind": "once", "at": "2024-03-30T12:00:00Z"},
)
GRIDS = tuple(one for one in SCHEDULES[2:9] if "max_occurrences" not in one)
"""Those whose slots can be told beforehand."""

TO = (["puppet:a"], ["puppet:careful"], ["puppet:a", "puppet:careful"], ["puppet:hasty"])
GONE = Outcome.rejected(Reason.DESTINATION_GONE, "gone", 410)
OUTCOMES = (
    Outcome.delivered(200),
    Outcome(AttemptOutcome.FAILED, 500, "no"),
    Outcome(AttemptOutcome.FAILED, 429, "later", retry_after=timedelta(hours=1)),
    Outcome(AttemptOutcome.TIMEOUT, error="no answer"),
    Outcome(AttemptOutcome.CONNECTION_LOST, error="gone"),
    Outcome(AttemptOutcome.UNKNOWN, error="internal error"),
    Outcome.rejected(Reason.RECIPIENT_REJECTED, "no", 550),
    GONE,
)
WAITS = [timedelta(seconds=s) for s in (1, 6, LEASE + 1, 320, 3600, 6 * 3600, 86_400, 3 * 86_400)]
which = st.integers(0, 11)
rarely_a_grid = st.sampled_from([0, 0, 0, 1, 2, 3])
"""The second one that is made is such a one."""

outcomes = st.sampled_from(OUTCOMES)
"""Shrinks to a delivery."""
