"""RFC 5545 recurrence rules: expanded by dateutil, always from the period at hand, never from the start."""

from calendar import monthrange
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from typing import Any

from dateutil import rrule as dateutil  # type: ignore[import-untyped]

from notifier.domain.schedule import calendar, limits, rrule_text, walltime, zones
from notifier.domain.schedule.model import HORIZON, Rrule
from notifier.domain.schedule.parsing import Fields, choice, local_time, refused

_DAY = timedelta(days=1)
_MOST_DAYS = 15_000

# As an interval of months or years: the expander stops after one period.
_BEYOND = 200_000

_LAST_WALL = HORIZON.replace(tzinfo=None) - timedelta(seconds=1)


def parse(value: object) -> Rrule:
    """Read an rrule object; raises InvalidInput."""
    fields = Fields(value)
    fields.take("kind", choice(["rrule"]))
    rule = fields.take("rrule", rrule_text.read)
    dtstart = fields.take("dtstart", local_time)
    timezone = fields.take("timezone", calendar.timezone)
    limited = limits.take(fields)
    fields.finish()
    s = Rrule(rule, dtstart, timezone, limited)
    if not _fires(s) or ((until := rrule_text.parts(rule).until) and until.replace(tzinfo=None) < dtstart):
        raise refused("never_fires", "This rule has no date from its start on.").under("/rrule")
    return s


def to_json(s: Rrule) -> dict[str, Any]:
    """Return the canonical object."""
    return {
        "kind": "rrule",
        "rrule": s.rule,
        "dtstart": s.dtstart.isoformat(),
        "timezone": s.timezone,
        **limits.to_json(s.limits),
    }


def ends_at(s: Rrule) -> datetime | None:
    """Return the instant of the rule's UNTIL, if that is one (a local UNTIL ends the local times)."""
    until = rrule_text.parts(s.rule).until
    return until if until and until.tzinfo else None


def walls(s: Rrule, start: datetime) -> Iterator[datetime]:
    """Yield the rule's naive local times from `start` on, ascending."""
    if rrule_text.parts(s.rule).count:
        return (wall for wall in _counted(s) if wall >= start)
    return _expand(s, max(start, s.dtstart))


@lru_cache(maxsize=1024)
def _counted(s: Rrule) -> tuple[datetime, ...]:
    """Return all local times of a rule with COUNT; those that do not exist are not counted."""
    zone = zones.load(s.timezone)
    real = (wall for wall in _expand(s, s.dtstart) if walltime.readings(wall, zone, s.dst))
    return tuple(islice(real, rrule_text.parts(s.rule).count))


@lru_cache(maxsize=4096)
def _fires(s: Rrule) -> bool:
    """Say whether there is any local time, without asking dateutil to search the years up to 9999."""
    rule = rrule_text.parts(s.rule)
    by = _with_defaults(rule, s.dtstart)
    if rule.frequency in (dateutil.YEARLY, dateutil.MONTHLY):
        periods = _periods(rule, s.dtstart)
        return any(wall >= s.dtstart for period in periods for wall in _expander(s, period, _BEYOND))
    possible = rrule_text.times_a_day(rule)
    if rule.frequency == dateutil.WEEKLY:
        possible *= len(rule.by.get("byweekday", (0,)))
    elif not any(_matches(by, day.date()) for day in islice(_periods(rule, s.dtstart), _MOST_DAYS)):
        return False
    return any(abs(position) <= possible for position in by.get("bysetpos", (1,)))


def _periods(rule: rrule_text.Parts, dtstart: datetime) -> Iterator[datetime]:
    """Yield the beginnings of the rule's periods from that of the start on, up to the horizon."""
    period = _period_start(rule, dtstart, dtstart)
    while period < _LAST_WALL:
        yield period
        if rule.frequency in (dateutil.YEARLY, dateutil.MONTHLY):
            months = rule.interval * (12 if rule.frequency == dateutil.YEARLY else 1)
            year, month = divmod(period.year * 12 + period.month - 1 + months, 12)
            period = period.replace(year=year, month=month + 1)
        else:
            period += rule.interval * _DAY


def _matches(by: dict[str, Any], day: date) -> bool:
    """Say whether a date passes the parts that filter the dates of a daily rule."""
    length = monthrange(day.year, day.month)[1]
    days = {length + 1 + n if n < 0 else n for n in by.get("bymonthday", (day.day,))}
    weekdays = {n.weekday for n in by.get("byweekday", ())} or {day.weekday()}
    return day.month in by.get("bymonth", (day.month,)) and day.day in days and day.weekday() in weekdays


def _expand(s: Rrule, start: datetime) -> Iterator[datetime]:
    """Yield the local times from `start` on, beginning at the rule's period that holds it."""
    rule = rrule_text.parts(s.rule)
    until = rule.until if rule.until and not rule.until.tzinfo else _LAST_WALL
    found = _expander(s, _period_start(rule, s.dtstart, start), rule.interval)
    return (wall for wall in takewhile(lambda wall: wall <= until, found) if wall >= start)


def _expander(s: Rrule, period: datetime, interval: int) -> Any:
    rule = rrule_text.parts(s.rule)
    by = _with_defaults(rule, s.dtstart)
    return dateutil.rrule(rule.frequency, dtstart=period, interval=interval, wkst=rule.week_start, **by)


def _period_start(rule: rrule_text.Parts, dtstart: datetime, start: datetime) -> datetime:
    """Return the beginning of the last period of the rule that begins at or before `start`."""
    if rule.frequency == dateutil.YEARLY:
        return datetime.combine(start.replace(month=1, day=1), time()).replace(
            year=start.year - (start.year - dtstart.year) % rule.interval
        )
    if rule.frequency == dateutil.MONTHLY:
        months = (start.year - dtstart.year) * 12 + start.month - dtstart.month
        year, month = divmod(start.year * 12 + start.month - 1 - months % rule.interval, 12)
        return datetime.combine(start.replace(year=year, month=month + 1, day=1), time())
    length = 7 if rule.frequency == dateutil.WEEKLY else 1
    base = dtstart.date()
    if length == 7:
        base -= (base.weekday() - rule.week_start) % 7 * _DAY
    days = (start.date() - base).days
    return datetime.combine(base + days // (length * rule.interval) * (length * rule.interval) * _DAY, time())


def _with_defaults(rule: rrule_text.Parts, dtstart: datetime) -> dict[str, Any]:
    """Return the BY parts, with what the RFC takes from the start where the rule is silent."""
    found: dict[str, Any] = {
        "byhour": dtstart.hour,
        "byminute": dtstart.minute,
        "bysecond": dtstart.second,
        **rule.by,
    }
    if found.keys() & {"byweekday", "bymonthday", "byyearday", "byweekno"}:
        return _weekday_of_weeks(found, dtstart)
    if rule.frequency == dateutil.WEEKLY:
        return {"byweekday": dtstart.weekday(), **found}
    if rule.frequency == dateutil.MONTHLY:
        return {"bymonthday": dtstart.day, **found}
    if rule.frequency == dateutil.YEARLY:
        return {"bymonth": dtstart.month, "bymonthday": dtstart.day, **found}
    return found


def _weekday_of_weeks(found: dict[str, Any], dtstart: datetime) -> dict[str, Any]:
    """Take the weekday from the start where only numbers of weeks are given."""
    alone = "byweekno" in found and not found.keys() & {"byweekday", "bymonthday", "byyearday"}
    return {"byweekday": dtstart.weekday(), **found} if alone else found
