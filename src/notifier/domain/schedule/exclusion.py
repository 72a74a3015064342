"""Slots that the user wants left out: they stay slots, and the ledger says why nothing was sent."""

from datetime import date, datetime
from typing import Literal

from notifier.domain.schedule import wallclock
from notifier.domain.schedule.evaluation import local
from notifier.domain.schedule.model import Schedule

Exclusion = Literal["excluded", "holiday"]


def excluded(s: Schedule, slot: datetime) -> Exclusion | None:
    """Return why nothing is sent for a slot, or None: `excluded` by date."""
    if s.limits.exclude_dates and rule_date(s, slot) in s.limits.exclude_dates:
        return "excluded"
    return None


def rule_date(s: Schedule, slot: datetime) -> date:
    """Return the local date that a slot belongs to: the rule's, even if it was shifted past midnight."""
    found = wallclock.find(s, slot)
    return found.wall.date() if found else local(s, slot).date()
