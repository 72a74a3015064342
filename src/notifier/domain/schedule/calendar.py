"""Calendar schedules as JSON: what may be given, what belongs together, and the canonical form."""

import re
from datetime import date, time
from typing import Any

from notifier.domain.schedule import limits, zones
from notifier.domain.schedule.model import Calendar, Dst, Gap, MonthDayPolicy, NthWeekday, Overlap
from notifier.domain.schedule.parsing import Fields, choice, integer, local_date, ordered_set, refused, typed

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_MOST_TIMES = 24
_MOST_EVERY = 3660
_NONE: tuple[Any, ...] = ()

# Which fields say the days of a frequency; the others are refused there.
_DAY_FIELDS = {"daily": (), "weekly": ("weekdays",), "monthly": ("month_days", "nth_weekdays")}


def parse(value: object) -> Calendar:
    """Read a calendar object; raises InvalidInput."""
    fields = Fields(value)
    fields.take("kind", choice(["calendar"]))
    month_day_policy: MonthDayPolicy = fields.take("month_day_policy", choice(["clamp", "skip"]), "clamp")
    s = {
        "frequency": fields.take("frequency", choice(tuple(_DAY_FIELDS))),
        "times": fields.take("times", ordered_set(_time, _MOST_TIMES)),
        "timezone": fields.take("timezone", timezone),
        "every": fields.take("every", integer(1, _MOST_EVERY), 1),
        "start_date": fields.take("start_date", local_date, None),
        "dst": fields.take("dst", dst, Dst()),
        "limits": limits.take(fields),
        "weekdays": fields.take("weekdays", ordered_set(_weekday, len(WEEKDAYS)), _NONE),
        "month_days": fields.take("month_days", ordered_set(_month_day, 32), _NONE),
        "nth_weekdays": fields.take("nth_weekdays", ordered_set(_nth_weekday, 42), _NONE),
    }
    fields.finish()
    _check_days(fields, s)
    fields.check()
    for name in ("times", "weekdays", "month_days", "nth_weekdays"):
        s[name] = tuple(sorted(s[name]))
    return Calendar(**s, month_day_policy=month_day_policy)


def to_json(s: Calendar) -> dict[str, Any]:
    """Return the canonical object."""
    return {
        "kind": "calendar",
        "frequency": s.frequency,
        "times": [at.strftime("%H:%M") for at in s.times],
        **_days_to_json(s),
        "every": s.every,
        **({"start_date": s.start_date.isoformat()} if s.start_date else {}),
        "timezone": s.timezone,
        "dst": {"gap": s.dst.gap, "overlap": s.dst.overlap},
        **limits.to_json(s.limits),
    }


def _days_to_json(s: Calendar) -> dict[str, Any]:
    if s.frequency == "weekly":
        return {"weekdays": [WEEKDAYS[day] for day in s.weekdays]}
    if s.nth_weekdays:
        return {"nth_weekdays": [{"nth": d.nth, "weekday": WEEKDAYS[d.weekday]} for d in s.nth_weekdays]}
    if s.frequency == "monthly":
        return {"month_days": list(s.month_days), "month_day_policy": s.month_day_policy}
    return {}


def timezone(value: object) -> str:
    """Read a zone's name in its canonical form."""
    return zones.canonical(typed(value, str))


def dst(value: object) -> Dst:
    """Read what becomes of missing and repeated local times."""
    fields = Fields(value)
    gap: Gap = fields.take("gap", choice(["shift", "skip"]), "shift")
    overlap: Overlap = fields.take("overlap", choice(["first", "second", "both"]), "first")
    fields.finish()
    return Dst(gap, overlap)


def _check_days(fields: Fields, s: dict[str, Any]) -> None:
    """Refuse days that do not belong to the frequency; take missing ones from the start date."""
    own = _DAY_FIELDS[s["frequency"]]
    given = [name for name in ("weekdays", "month_days", "nth_weekdays") if s[name]]
    for name in given:
        if name not in own:
            fields.refuse(name, "not_allowed", f"This does not go with {s['frequency']}.")
    if s["every"] > 1 and not s["start_date"]:
        fields.refuse("start_date", "missing", "This is required where `every` is more than 1.")
    if own and not given:
        _days_from_start(fields, own[0], s)
    if len(given) > 1 and set(given) <= set(own):
        fields.refuse(given[1], "not_allowed", f"Give either `{given[0]}` or `{given[1]}`.")


def _days_from_start(fields: Fields, name: str, s: dict[str, Any]) -> None:
    start: date | None = s["start_date"]
    if start:
        s[name] = (start.weekday() if name == "weekdays" else start.day,)
    else:
        fields.refuse(name, "missing", "This is required here, or a `start_date` to take it from.")


def _time(value: object) -> time:
    text = typed(value, str)
    if not _TIME.fullmatch(text):
        raise refused("invalid_time", "Write a local time as HH:MM, from 00:00 to 23:59.")
    return time.fromisoformat(text)


def _weekday(value: object) -> int:
    return WEEKDAYS.index(choice(WEEKDAYS)(value))


def _month_day(value: object) -> int:
    day = typed(value, int)
    if day != -1 and not 1 <= day <= 31:
        raise refused("out_of_range", "This must be from 1 to 31, or -1 for the last day of the month.")
    return day


def _nth_weekday(value: object) -> NthWeekday:
    fields = Fields(value)
    nth = fields.take("nth", _nth)
    weekday = fields.take("weekday", _weekday)
    fields.finish()
    return NthWeekday(nth, weekday)


def _nth(value: object) -> int:
    nth = typed(value, int)
    if nth != -1 and not 1 <= nth <= 5:
        raise refused("out_of_range", "This must be from 1 to 5, or -1 for the last one of the month.")
    return nth
