"""The limits that every kind of schedule may carry, as JSON."""

from datetime import timedelta
from typing import Any

from notifier.domain.schedule import durations, public_holidays
from notifier.domain.schedule.model import Limits, MissedPolicy, MissedRule
from notifier.domain.schedule.parsing import (
    Fields,
    choice,
    instant,
    integer,
    local_date,
    ordered_set,
    write_instant,
)

_MOST_DATES = 366
_MOST_OCCURRENCES = 1_000_000
_MOST_SENT = 100
_LONGEST_GRACE = timedelta(days=366)
_NO_DATES: tuple[Any, ...] = ()


def take(fields: Fields) -> Limits:
    """Take the limits, all optional, from a schedule's fields."""
    start_at, end_at = fields.take("start_at", instant, None), fields.take("end_at", instant, None)
    if start_at and end_at and end_at < start_at:
        fields.refuse("end_at", "ends_before_start", "This lies before `start_at`.")
    most = fields.take("max_occurrences", integer(1, _MOST_OCCURRENCES), None)
    exclude = fields.take("exclude_dates", ordered_set(local_date, _MOST_DATES), _NO_DATES)
    holidays = fields.take("holidays", public_holidays.region, None)
    return Limits(start_at, end_at, most, tuple(sorted(exclude or ())), holidays, take_missed(fields))


def take_missed(fields: Fields) -> MissedRule:
    """Take what shall become of missed slots."""
    return fields.take("missed", _missed, MissedRule())


def to_json(limits: Limits) -> dict[str, Any]:
    """Return the limits that are set; the canonical form leaves the others out."""
    found: dict[str, Any] = {
        "start_at": limits.start_at and write_instant(limits.start_at),
        "end_at": limits.end_at and write_instant(limits.end_at),
        "max_occurrences": limits.max_occurrences,
        "exclude_dates": [day.isoformat() for day in limits.exclude_dates],
        "holidays": limits.holidays,
        "missed": _missed_to_json(limits.missed) if limits.missed != MissedRule() else None,
    }
    return {name: value for name, value in found.items() if value}


def _missed(value: object) -> MissedRule:
    fields = Fields(value)
    policy: MissedPolicy = fields.take("policy", choice(["latest", "all", "skip"]), "latest")
    most = fields.take("max", integer(1, _MOST_SENT), MissedRule().most)
    grace = fields.take("grace", durations.reader(timedelta(0), _LONGEST_GRACE), None)
    fields.finish()
    return MissedRule(policy, most, grace)


def _missed_to_json(rule: MissedRule) -> dict[str, Any]:
    grace = {"grace": durations.write(rule.grace)} if rule.grace is not None else {}
    return {"policy": rule.policy, "max": rule.most, **grace}
