"""The text of an RFC 5545 rule: which parts it has, and which of them the RFC allows together."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import prod
from typing import Any

from dateutil import rrule as dateutil  # type: ignore[import-untyped]

from notifier.domain.errors import InvalidInput
from notifier.domain.schedule.parsing import refused, typed

_LONGEST = 500
_MOST_COUNT = 1000
_MOST_INTERVAL = 3660
_MOST_TIMES = 24
_FREQUENCIES = {
    "YEARLY": dateutil.YEARLY,
    "MONTHLY": dateutil.MONTHLY,
    "WEEKLY": dateutil.WEEKLY,
    "DAILY": dateutil.DAILY,
}
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_NTH_DAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBER = re.compile(r"[+-]?[0-9]{1,3}")
_UNTIL = re.compile(r"[0-9]{8}(T[0-9]{6}Z?)?")

# Part: the name that dateutil has for it, the least and the largest number (negative: from the end).
_BY = {
    "BYMONTH": ("bymonth", 1, 12),
    "BYWEEKNO": ("byweekno", -53, 53),
    "BYYEARDAY": ("byyearday", -366, 366),
    "BYMONTHDAY": ("bymonthday", -31, 31),
    "BYSETPOS": ("bysetpos", -366, 366),
    "BYHOUR": ("byhour", 0, 23),
    "BYMINUTE": ("byminute", 0, 59),
    "BYSECOND": ("bysecond", 0, 59),
}
_ZERO_ALLOWED = ("BYHOUR", "BYMINUTE", "BYSECOND")
_FORBIDDEN = {
    "YEARLY": (),
    "MONTHLY": ("BYWEEKNO", "BYYEARDAY"),
    "WEEKLY": ("BYWEEKNO", "BYYEARDAY", "BYMONTHDAY"),
    "DAILY": ("BYWEEKNO", "BYYEARDAY"),
}


@dataclass(frozen=True, slots=True)
class Parts:
    """A rule taken apart. `until` is UTC, or naive for local time; `week_start` counts from Monday = 0."""

    frequency: int
    interval: int
    week_start: int
    count: int | None
    until: datetime | None
    by: dict[str, Any]


def read(value: object) -> str:
    """Read a rule's text, with or without `RRULE:`, in upper case; raises InvalidInput."""
    text = typed(value, str).strip().upper().removeprefix("RRULE:")
    if len(text) > _LONGEST or not text.isascii():
        raise _wrong(f"it is longer than {_LONGEST} characters, or not plain ASCII")
    parts(text)
    return text


@lru_cache(maxsize=4096)
def parts(text: str) -> Parts:
    """Take a rule apart; raises InvalidInput."""
    given = _split(text)
    frequency = given.get("FREQ", "")
    if frequency in ("HOURLY", "MINUTELY", "SECONDLY"):
        raise refused("unsupported_frequency", "Use an interval or a cron schedule for less than a day.")
    if frequency not in _FREQUENCIES:
        raise _wrong(f"FREQ must be one of {', '.join(_FREQUENCIES)}")
    _check_together(given, frequency)
    by: dict[str, Any] = {_BY[name][0]: _numbers(name, given[name]) for name in _BY if name in given}
    if "BYDAY" in given:
        by["byweekday"] = [_day(item, frequency, given) for item in given["BYDAY"].split(",")]
    found = Parts(
        frequency=_FREQUENCIES[frequency],
        interval=_whole(given, "INTERVAL", _MOST_INTERVAL) or 1,
        week_start=_week_start(given),
        count=_whole(given, "COUNT", _MOST_COUNT),
        until=_until(given["UNTIL"]) if "UNTIL" in given else None,
        by=by,
    )
    if times_a_day(found) > _MOST_TIMES:
        raise _wrong(f"it has more than {_MOST_TIMES} times a day")
    return found


def times_a_day(rule: Parts) -> int:
    """Return how many local times each of the rule's dates has."""
    return prod(len(rule.by.get(name, (0,))) for name in ("byhour", "byminute", "bysecond"))


def _split(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.removesuffix(";").split(";")]
    known = {*_BY, "FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY"}
    for name, _, value in pairs:
        if name not in known or not value:
            raise _wrong(f"{name[:20]!r} is no part of a rule, or has no value")
    if len({name for name, _, _ in pairs}) < len(pairs):
        raise _wrong("a part stands there twice")
    return {name: value for name, _, value in pairs}


def _check_together(given: dict[str, str], frequency: str) -> None:
    for name in _FORBIDDEN[frequency]:
        if name in given:
            raise _wrong(f"{name} does not go with {frequency}")
    if "COUNT" in given and "UNTIL" in given:
        raise _wrong("COUNT does not go with UNTIL")
    if "BYSETPOS" in given and not given.keys() & {*_BY, "BYDAY"} - {"BYSETPOS"}:
        raise _wrong("BYSETPOS needs another BY part")


def _numbers(name: str, text: str) -> tuple[int, ...]:
    _, least, most = _BY[name]
    items = text.split(",")
    numbers = tuple(int(item) for item in items if _NUMBER.fullmatch(item))
    wrong = [n for n in numbers if not least <= n <= most or (n == 0 and name not in _ZERO_ALLOWED)]
    if wrong or len(numbers) < len(items):
        raise _wrong(f"{name} takes numbers from {least} to {most}")
    return tuple(sorted(set(numbers)))


def _day(item: str, frequency: str, given: dict[str, str]) -> Any:
    match = _NTH_DAY.fullmatch(item)
    nth = int(match[1] or 0) if match else 0
    if not match or abs(nth) > 53 or (match[1] and not nth):
        raise _wrong("BYDAY takes days such as MO, 2TU or -1FR")
    if nth and (frequency not in ("MONTHLY", "YEARLY") or "BYWEEKNO" in given):
        raise _wrong(f"BYDAY takes no numbers with {'BYWEEKNO' if 'BYWEEKNO' in given else frequency}")
    return dateutil.weekday(_DAYS.index(match[2]), nth or None)


def _whole(given: dict[str, str], name: str, most: int) -> int | None:
    if name not in given:
        return None
    text = given[name]
    if not text.isdigit() or len(text) > 6 or not 1 <= int(text) <= most:
        raise _wrong(f"{name} must be from 1 to {most}")
    return int(text)


def _week_start(given: dict[str, str]) -> int:
    day = given.get("WKST", "MO")
    if day not in _DAYS:
        raise _wrong("WKST takes a day such as MO")
    return _DAYS.index(day)


def _until(text: str) -> datetime | None:
    """Read UNTIL: an instant, a local time, or a date, which then is allowed to its end."""
    match = _UNTIL.fullmatch(text)
    try:
        found = datetime.fromisoformat(text.removesuffix("Z")) if match else None
    except ValueError:
        found = None
    if not match or not found:
        raise _wrong("UNTIL takes 20271231T235959Z, a local time without Z, or a date")
    if not match[1]:
        return found + timedelta(days=1, seconds=-1) if found.year < 9999 else None
    return found.replace(tzinfo=UTC) if text.endswith("Z") else found


def _wrong(what: str) -> InvalidInput:
    return refused("invalid_rrule", f"This is no rule of RFC 5545 that is served here: {what}.")
