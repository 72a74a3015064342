"""Reading JSON fields: all problems of an object are collected, each with its pointer and code."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeVar, cast

from notifier.domain import wording
from notifier.domain.errors import FieldProblem, InvalidInput
from notifier.domain.schedule.model import HORIZON

T = TypeVar("T")
_REQUIRED: Any = object()
_NAMES = {dict: "an object", list: "a list", str: "a string", int: "an integer"}
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_LOCAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def refused(code: str, detail: str) -> InvalidInput:
    """Return the error of the value at hand; whoever knows its place adds the pointer."""
    return InvalidInput.at("", code, detail)


class Fields:
    """The fields of one JSON object; `finish` raises InvalidInput for all that was wrong."""

    def __init__(self, value: object) -> None:
        self._values = cast(Mapping[str, object], typed(value, dict))
        self._known: set[str] = set()
        self._problems: list[FieldProblem] = []

    def take(self, name: str, read: Callable[[object], T], default: T = _REQUIRED) -> T:
        """Return the field as `read` understands it, or its default if it is absent or null."""
        self._known.add(name)
        value = self._values.get(name)
        if value is None:
            if default is _REQUIRED:
                self.refuse(name, "missing", "This is required.")
            return default
        try:
            return read(value)
        except InvalidInput as error:
            self._problems += error.under(f"/{name}").problems
            return cast(T, None)

    def refuse(self, name: str, code: str, detail: str) -> None:
        """Record a problem of one field."""
        self._problems.append(FieldProblem(f"/{name}", code, detail))

    def finish(self) -> None:
        """Raise InvalidInput if any field was wrong or unknown."""
        unknown = sorted(map(str, self._values.keys() - self._known))
        self._problems += wording.unknown([name[:100] for name in unknown], self._known, "unknown_field")
        self.check()

    def check(self) -> None:
        """Raise InvalidInput if any field was wrong so far."""
        if self._problems:
            raise InvalidInput(self._problems)


def typed(value: object, kind: type[T]) -> T:
    """Return the value if it is of this JSON type (a boolean is no integer)."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise refused("wrong_type", f"This must be {_NAMES[kind]}.")
    return value


def choice(options: Sequence[str]) -> Callable[[object], Any]:
    """Return a reader of one of these strings."""

    def read(value: object) -> str:
        text = typed(value, str)
        if text not in options:
            raise refused("invalid_choice", f"This must be one of: {', '.join(options)}.")
        return text

    return read


def integer(least: int, most: int) -> Callable[[object], int]:
    """Return a reader of an integer within these bounds."""

    def read(value: object) -> int:
        number = typed(value, int)
        if not least <= number <= most:
            raise refused("out_of_range", f"This must be from {least} to {most}.")
        return number

    return read


def ordered_set(read_item: Callable[[object], T], most: int) -> Callable[[object], tuple[T, ...]]:
    """Return a reader of 1 to `most` different items, which come back in the order given."""

    def read(value: object) -> tuple[T, ...]:
        items = typed(value, list)
        if not 1 <= len(items) <= most:
            raise refused("out_of_range", f"This takes 1 to {most} items.")
        found: list[T] = []
        for position, item in enumerate(items):
            found.append(_item(read_item, item, position))
            if found[-1] in found[:-1]:
                raise InvalidInput.at(f"/{position}", "duplicate", "This item stands here twice.")
        return tuple(found)

    return read


def _item(read_item: Callable[[object], T], item: object, position: int) -> T:
    try:
        return read_item(item)
    except InvalidInput as error:
        raise error.under(f"/{position}") from None


def instant(value: object) -> datetime:
    """Read an RFC 3339 instant with its offset, as UTC."""
    text = typed(value, str)
    match = _INSTANT.fullmatch(text)
    if match and not match[1]:
        raise refused("offset_missing", "Add the offset from UTC, as in 2027-03-28T09:00:00Z.")
    try:
        found = datetime.fromisoformat(text.upper()).astimezone(UTC) if match else None
    except (ValueError, OverflowError):
        found = None
    if not found:
        raise refused("invalid_instant", "Write an instant as 2027-03-28T09:00:00Z (RFC 3339).")
    return _in_range(found, found.year)


def local_time(value: object) -> datetime:
    """Read a local time without offset, `YYYY-MM-DDTHH:MM` with or without seconds, as naive."""
    text = typed(value, str)
    try:
        found = datetime.fromisoformat(text) if _LOCAL.fullmatch(text) else None
    except ValueError:
        found = None
    if not found:
        raise refused("invalid_local_time", "Write a local time as 2027-03-28T09:00.")
    return _in_range(found, found.year)


def local_date(value: object) -> date:
    """Read a date, `YYYY-MM-DD`."""
    text = typed(value, str)
    try:
        found = date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        found = None
    if not found:
        raise refused("invalid_date", "Write a date as 2027-03-28.")
    return _in_range(found, found.year)


def _in_range(value: T, year: int) -> T:
    if not 1970 <= year < HORIZON.year:
        raise refused("out_of_range", f"Years go from 1970 to {HORIZON.year - 1}.")
    return value


def write_instant(value: datetime) -> str:
    """Return the RFC 3339 text of a UTC instant."""
    return value.isoformat().replace("+00:00", "Z")
