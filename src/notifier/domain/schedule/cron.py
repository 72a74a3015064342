"""Cron schedules: the fields are read by cronsim, the joining of wall time and zone stays ours."""

from collections.abc import Iterator, Sequence
from datetime import date, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from notifier.domain.schedule import calendar, limits
from notifier.domain.schedule.model import HORIZON, Cron, Dst
from notifier.domain.schedule.parsing import Fields, choice, refused, typed

if TYPE_CHECKING:
    from cronsim import CronSim

_DAY = timedelta(days=1)
_FIELDS = 5
_LONGEST = 200

# cronsim reads fields at a given time; only the fields are asked here, so any time will do.
_ANY_TIME = HORIZON.replace(tzinfo=None)

# Weekdays and leap years repeat every 28 years (1901 to 2099), so what is not found in 40 never comes.
_FIRST_DAY, _YEARS = date(2000, 1, 1), 40


class _Rule(NamedTuple):
    fields: "CronSim"
    times: tuple[time, ...]


def parse(value: object) -> Cron:
    """Read a cron object; raises InvalidInput."""
    fields = Fields(value)
    fields.take("kind", choice(["cron"]))
    expression = fields.take("expression", _expression)
    timezone = fields.take("timezone", calendar.timezone)
    dst = fields.take("dst", calendar.dst, Dst())
    limited = limits.take(fields)
    fields.finish()
    return Cron(expression, timezone, dst, limited)


def to_json(s: Cron) -> dict[str, Any]:
    """Return the canonical object."""
    return {
        "kind": "cron",
        "expression": s.expression,
        "timezone": s.timezone,
        "dst": {"gap": s.dst.gap, "overlap": s.dst.overlap},
        **limits.to_json(s.limits),
    }


def local_times(s: Cron) -> tuple[time, ...]:
    """Return the local times of each of the rule's dates, ascending."""
    return _rule(s.expression).times


def local_dates(s: Cron, start: date) -> Iterator[date]:
    """Yield the rule's local dates from `start` on, ascending, up to the horizon."""
    return _matching(_rule(s.expression).fields, start, HORIZON.date())


def every_hour(s: Cron) -> bool:
    """Say whether the rule has slots in every hour of a day."""
    return len(_rule(s.expression).fields.hours) == 24


def _matching(fields: "CronSim", day: date, end: date) -> Iterator[date]:
    """Yield the dates of [day, end) that match, leaving out whole months that do not."""
    while day < end:
        if day.month not in fields.months:
            day = (day.replace(day=28) + 4 * _DAY).replace(day=1)
            continue
        if fields.match_day(day):
            yield day
        day += _DAY


@lru_cache(maxsize=4096)
def _rule(expression: str) -> _Rule:
    from cronsim import CronSim  # few schedules need it, so it waits for the first one

    fields = CronSim(expression, _ANY_TIME)
    return _Rule(fields, tuple(time(h, m) for h in sorted(fields.hours) for m in sorted(fields.minutes)))


def _expression(value: object) -> str:
    text = typed(value, str)
    parts = text.split()
    if len(text) > _LONGEST or not text.isascii() or len(parts) != _FIELDS:
        raise refused("invalid_cron", "Write five fields: minute, hour, day of month, month, day of week.")
    from cronsim import CronSimError

    expression = " ".join(parts)
    try:
        fires = _fires(expression)
    except (CronSimError, AssertionError, TypeError, ValueError) as error:
        if not _is_of_no_month(parts, error):
            raise refused("invalid_cron", f"This is no cron expression: {_which(error)}.") from None
        fires = False
    if not fires:
        raise refused("never_fires", "This never fires: no date ever matches these days and months.")
    return expression


@lru_cache(maxsize=4096)
def _fires(expression: str) -> bool:
    end = _FIRST_DAY.replace(year=_FIRST_DAY.year + _YEARS)
    return any(True for _ in _matching(_rule(expression).fields, _FIRST_DAY, end))


def _is_of_no_month(parts: Sequence[str], error: Exception) -> bool:
    """Say whether cronsim refuses a day only because none of these months has it, as in `31 2`."""
    from cronsim import CronSimError

    if "day-of-month" not in str(error):
        return False
    try:
        _rule(" ".join([*parts[:3], "*", parts[4]]))
    except (CronSimError, AssertionError, TypeError, ValueError):
        return False
    return True


def _which(error: Exception) -> str:
    """Return which field cronsim calls bad; its other errors name none."""
    text = str(error)
    return text[:1].lower() + text[1:] if text.startswith("Bad ") else "bad field"
