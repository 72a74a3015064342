"""ISO 8601 durations of fixed length: weeks, days, hours, minutes and seconds, without fractions."""

import re
from collections.abc import Callable
from datetime import timedelta

from notifier.domain.errors import InvalidInput
from notifier.domain.schedule.parsing import refused, typed

_NUMBER = r"([0-9]{1,12})"
_DURATION = re.compile(
    rf"P(?=[0-9T])(?:{_NUMBER}W)?(?:{_NUMBER}D)?(?:T(?=[0-9])(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?"
)
_VARIABLE = re.compile(
    rf"P(?=[0-9WD]*[YM])(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}W)?(?:{_NUMBER}D)?(?:T.*)?"
)
_UNITS = (604800, 86400, 3600, 60, 1)


def reader(least: timedelta, most: timedelta, *, also: str = "") -> Callable[[object], timedelta]:
    """Return a reader of a duration within these bounds; `also` names what else may stand there."""

    def read(value: object) -> timedelta:
        match = _DURATION.fullmatch(text := typed(value, str).upper())
        if not match:
            raise _not_a_duration(text, also)
        seconds = sum(int(number or 0) * unit for number, unit in zip(match.groups(), _UNITS, strict=True))
        if seconds < least.total_seconds():
            raise refused("duration_too_short", f"The shortest duration is {write(least)}.")
        if seconds > most.total_seconds():
            raise refused("duration_too_long", f"The longest duration is {write(most)}.")
        return timedelta(seconds=seconds)

    return read


def write(duration: timedelta) -> str:
    """Return the ISO 8601 text, in days and seconds at most."""
    days = f"{duration.days}D" if duration.days else ""
    seconds = f"T{duration.seconds}S" if duration.seconds or not days else ""
    return f"P{days}{seconds}"


def _not_a_duration(text: str, also: str) -> InvalidInput:
    if _VARIABLE.fullmatch(text):
        return refused("variable_duration", "Years and months differ in length. Use weeks or days instead.")
    detail = f"Write {also}an ISO 8601 duration such as PT6H or P3D, without fractions."
    return refused("invalid_duration", detail)
