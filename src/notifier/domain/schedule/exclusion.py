"""Slots that the user wants left out: they stay slots, and the ledger says why nothing was sent."""

from datetime import date, datetime
from typing import Literal

from notifier.domain.schedule import public_holidays, wallclock
from notifier.domain.schedule.evaluation import local
from notifier.domain.schedule.model import Schedule

Exclusion = Literal["excluded", "holiday"]


def excluded(s: Schedule, slot: datetime) -> Exclusion | None:
    """Return why nothing is sent for a slot, or None: its local date is `excluded` or a `holiday`."""
    limits = s.limits
    if not limits.exclude_dates and not limits.holidays:
        return None
    day = rule_date(s, slot)
    if day in limits.exclude_dates:
        return "excluded"
    return "holiday" if limits.holidays and public_holidays.name(limits.holidays, day) else None


def holiday(s: Schedule, slot: datetime) -> str | None:
    """Return the name of the holiday of a slot's local date, if the schedule keeps holidays."""
    return public_holidays.name(s.limits.holidays, rule_date(s, slot)) if s.limits.holidays else None


def rule_date(s: Schedule, slot: datetime) -> date:
    """Return the local date that a slot belongs to: the rule's, even if it was shifted past midnight."""
    found = wallclock.find(s, slot)
    return found.wall.date() if found else local(s, slot).date()
