"""The schedules themselves: frozen values that say when, and nothing about how they are evaluated."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple

HORIZON = datetime(2200, 1, 1, tzinfo=UTC)
"""No slot lies at or after this instant: it bounds every search."""

Anchor = Literal["delivered", "grid"]
Frequency = Literal["daily", "weekly", "monthly"]
MonthDayPolicy = Literal["clamp", "skip"]
MissedPolicy = Literal["latest", "all", "skip"]
Gap = Literal["shift", "skip"]
Overlap = Literal["first", "second", "both"]
Reading = Literal["plain", "shifted", "first", "second"]


@dataclass(frozen=True, slots=True)
class Dst:
    """What becomes of local times that a change of offset removes (`gap`) or repeats (`overlap`)."""

    gap: Gap = "shift"
    overlap: Overlap = "first"


@dataclass(frozen=True, slots=True)
class MissedRule:
    """What becomes of slots that passed unsent; `most` counts for the policy `all`.

    `grace` is how late a slot may be sent; None stands for the policy's own default.
    """

    policy: MissedPolicy = "latest"
    most: int = 3
    grace: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What every kind may add to its rule. `start_at` and `end_at` are UTC, both inclusive on the slot.

    `exclude_dates` are local dates, ascending. `holidays` is a country, or a part of it as in `DE/BY`.
    """

    start_at: datetime | None = None
    end_at: datetime | None = None
    max_occurrences: int | None = None
    exclude_dates: tuple[date, ...] = ()
    holidays: str | None = None
    missed: MissedRule = MissedRule()


@dataclass(frozen=True, slots=True)
class Interval:
    """Elapsed time: due every `period`, whatever the wall clock does.

    `every` is the period as the user wrote it.
    """

    every: str
    period: timedelta
    anchor: Anchor = "delivered"
    limits: Limits = Limits()


class NthWeekday(NamedTuple):
    """The `nth` (1 to 5, or -1 for the last) of a weekday (Monday = 0) in a month."""

    nth: int
    weekday: int


@dataclass(frozen=True, slots=True)
class Calendar:
    """Wall clock: local `times` on local dates of `timezone`.

    `weekdays` (Monday = 0) belong to weekly; `month_days` (-1 is the last) or `nth_weekdays` to monthly.
    `every` counts days, weeks that begin on Monday, or months from `start_date`, which is also the first
    date allowed.
    """

    frequency: Frequency
    times: tuple[time, ...]
    timezone: str
    weekdays: tuple[int, ...] = ()
    every: int = 1
    start_date: date | None = None
    dst: Dst = Dst()
    limits: Limits = Limits()
    month_days: tuple[int, ...] = ()
    month_day_policy: MonthDayPolicy = "clamp"
    nth_weekdays: tuple[NthWeekday, ...] = ()


@dataclass(frozen=True, slots=True)
class Once:
    """A single slot: `at`, UTC, or `wall`, a naive local time in `timezone`."""

    at: datetime | None
    wall: datetime | None = None
    timezone: str = "UTC"
    dst: Dst = Dst()
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Cron:
    """Wall clock: a Vixie cron expression of five fields, read in `timezone`."""

    expression: str
    timezone: str
    dst: Dst = Dst()
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Rrule:
    """Wall clock: an RFC 5545 rule whose DTSTART is a naive local time in `timezone`.

    As the RFC has it, local times in a gap are dropped, and of repeated ones the first counts.
    """

    rule: str
    dtstart: datetime
    timezone: str
    limits: Limits = Limits()
    dst: Dst = Dst("skip", "first")


Dated = Calendar | Cron
"""Kinds whose rule is a product: each of its local dates has the same local times."""

WallClock = Dated | Rrule
Schedule = Interval | WallClock | Once


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
