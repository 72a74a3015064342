"""The schedules themselves: frozen values that say when, and nothing about how they are evaluated."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple

HORIZON = datetime(2200, 1, 1, tzinfo=UTC)
"""No slot lies at or after this instant: it bounds every search."""

Anchor = Literal["delivered", "grid"]
Frequency = Literal["daily", "weekly"]
Gap = Literal["shift", "skip"]
Overlap = Literal["first", "second", "both"]
Reading = Literal["plain", "shifted", "first", "second"]


@dataclass(frozen=True, slots=True)
class Dst:
    """What becomes of local times that a change of offset removes (`gap`) or repeats (`overlap`)."""

    gap: Gap = "shift"
    overlap: Overlap = "first"


@dataclass(frozen=True, slots=True)
class Interval:
    """Elapsed time: due every `period`, whatever the wall clock does. Instants are UTC.

    `every` is the period as the user wrote it.
    """

    every: str
    period: timedelta
    anchor: Anchor = "delivered"
    start_at: datetime | None = None
    end_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Calendar:
    """Wall clock: local `times` on local dates of `timezone`. `start_at` and `end_at` are UTC.

    `weekdays` count from Monday = 0 and are empty for daily. `every` counts days, or weeks that begin on
    Monday, from `start_date`, which is also the first date allowed.
    """

    frequency: Frequency
    times: tuple[time, ...]
    timezone: str
    weekdays: tuple[int, ...] = ()
    every: int = 1
    start_date: date | None = None
    dst: Dst = Dst()
    start_at: datetime | None = None
    end_at: datetime | None = None


Schedule = Interval | Calendar


class Occurrence(NamedTuple):
    """A slot with the local time it stands for: `at` is UTC, `wall` the naive local time of the rule."""

    at: datetime
    wall: datetime
    reading: Reading


@dataclass(frozen=True, slots=True)
class Missed:
    """The slots of a downtime. `older` holds the newest of the older ones, ascending; `older_count` all.

    Where `older_count` exceeds `len(older)`, the rest is the range from `first` up to `older[0]`.
    """

    first: datetime
    latest: datetime
    older_count: int
    older: tuple[datetime, ...]
