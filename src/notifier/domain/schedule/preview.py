"""The consequences of a schedule, told before it is saved: notes, changes of the clocks, warnings."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, pairwise, takewhile
from typing import Literal, NamedTuple

from notifier.domain.schedule import cron, rules, wallclock, walltime, zones
from notifier.domain.schedule.evaluation import drifts, first_anchor, first_slot, local, slots
from notifier.domain.schedule.exclusion import Exclusion, excluded, holiday
from notifier.domain.schedule.interval import JUST_NOW
from notifier.domain.schedule.model import HORIZON, Cron, Interval, Occurrence, Once, Schedule, WallClock
from notifier.domain.schedule.parsing import write_instant

_TWO_YEARS = timedelta(days=731)
_MINUTE = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)
_MOST_LISTED = 24
_MOST_EXCLUDED = 400

Effect = Literal["shifted", "skipped", "dropped", "first", "second", "twice"]


class Note(NamedTuple):
    """Something worth knowing: a stable code and a sentence for people."""

    code: str
    detail: str


class Affected(NamedTuple):
    """A naive local time that a change of the clocks removes or repeats, and the slots it still gets."""

    wall: datetime
    effect: Effect
    slots: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of the zone's offset, at `at` (UTC), that touches the schedule's local times.

    `affected` lists the first 24 of them.
    """

    at: datetime
    kind: Literal["gap", "overlap"]
    offset_before: timedelta
    offset_after: timedelta
    affected: tuple[Affected, ...]


def notes(s: Schedule, slot: datetime) -> tuple[Note, ...]:
    """Return what is special about one slot of the schedule; mostly nothing."""
    found = wallclock.find(s, slot)
    about_clock = _about_clock(found, local(s, slot)) if found else ()
    why = excluded(s, slot)
    return (*about_clock, _about_exclusion(s, slot, why)) if why else about_clock


def _about_exclusion(s: Schedule, slot: datetime, why: Exclusion) -> Note:
    if why == "excluded":
        return Note(why, "Nothing is sent: the date is excluded.")
    return Note(why, f"Nothing is sent: the date is a holiday, {holiday(s, slot)}.")


def transitions(s: Schedule, *, now: datetime) -> tuple[Transition, ...]:
    """Return the changes of offset of the 24 months after `now` that touch the schedule's local times."""
    if isinstance(s, Interval | Once):
        return ()
    zone = zones.load(s.timezone)
    found = (_transition(s, at) for at in walltime.changes(zone, now, min(now + _TWO_YEARS, HORIZON)))
    return tuple(one for one in found if one.affected)


def warnings(s: Schedule, *, now: datetime, given: object = None, begins: bool = True) -> tuple[Note, ...]:
    """Return what the user may not have meant; `given` is the JSON that the schedule was read from.

    `begins` says that it counts from now on, and does not go on as before.
    """
    return tuple(
        warning
        for warning in (
            _never_fires(s, now),
            _past_start(s, now) if begins else None,
            _every_minute(s, now),
            _zone_alias(s, given),
            _same_day_double(s, now),
            _silent_hour(s, now),
        )
        if warning
    )


def _about_clock(found: Occurrence, shown: datetime) -> tuple[Note, ...]:
    at = f"{found.wall:%H:%M}"
    if found.reading == "shifted":
        return (Note("shifted", f"{at} does not exist on this date; it comes at {shown:%H:%M} instead."),)
    if found.reading != "plain":
        return (
            Note(f"{found.reading}_of_two", f"{at} comes twice on this date; this is the {found.reading}."),
        )
    return ()


def _transition(s: WallClock, at: datetime) -> Transition:
    zone = zones.load(s.timezone)
    before, after = walltime.offset_at(at - _SECOND, zone), walltime.offset_at(at, zone)
    low, high = sorted(((at + before).replace(tzinfo=None), (at + after).replace(tzinfo=None)))
    kind: Literal["gap", "overlap"] = "gap" if before < after else "overlap"
    affected = tuple(islice(_affected(s, at, low, high), _MOST_LISTED))
    return Transition(at, kind, before, after, affected)


def _affected(s: WallClock, at: datetime, low: datetime, high: datetime) -> Iterator[Affected]:
    """Yield the rule's local times in [low, high), which the change at `at` removes or repeats."""
    kept: dict[datetime, list[Occurrence]] = {}
    for one in takewhile(
        lambda one: one.at <= at + walltime.REACH, wallclock.occurrences(s, at - walltime.REACH)
    ):
        kept.setdefault(one.wall, []).append(one)
    for wall in takewhile(lambda wall: wall < high, rules.walls(s, low)):
        found = kept.get(wall, [])
        if found or _allows(s, wall):
            yield Affected(wall, _effect(s, found), tuple(one.at for one in found))


def _allows(s: WallClock, wall: datetime) -> bool:
    """Say whether a local time without a slot would have had one but for the gap."""
    zone = zones.load(s.timezone)
    at = wall.replace(tzinfo=zone)
    return (s.limits.start_at or at) <= at <= (rules.ends_at(s) or at)


def _effect(s: WallClock, found: list[Occurrence]) -> Effect:
    if not found:
        return "skipped" if s.dst.gap == "skip" else "dropped"
    if len(found) > 1:
        return "twice"
    reading = found[0].reading
    return "first" if reading == "plain" else reading


def _never_fires(s: Schedule, now: datetime) -> Note | None:
    if first_slot(s, now=now) is None:
        return Note("never_fires", "This schedule has no slot after now.")
    coming = islice(slots(s, after=now, anchor=first_anchor(s, now=now)), _MOST_EXCLUDED)
    if all(excluded(s, slot) for slot in coming):
        return Note("never_fires", "Every coming slot lies on an excluded date or a holiday.")
    return None


def _past_start(s: Schedule, now: datetime) -> Note | None:
    """Warn where a first due time has passed; in a grid, and for other kinds, `start_at` is but a mark."""
    start_at = s.limits.start_at
    if not drifts(s) or not start_at or start_at >= now - JUST_NOW or not (first := first_slot(s, now=now)):
        return None
    return Note("past_start", f"`start_at` has passed; the first slot is {write_instant(first)}.")


def _every_minute(s: Schedule, now: datetime) -> Note | None:
    coming = islice(slots(s, after=now, anchor=first_anchor(s, now=now)), 3)
    if any(b - a <= _MINUTE for a, b in pairwise(coming)):
        return Note("every_minute", "This fires every minute.")
    return None


def _zone_alias(s: Schedule, given: object) -> Note | None:
    name = given.get("timezone") if isinstance(given, dict) else None
    if isinstance(s, Interval) or not isinstance(name, str) or name.lower() == s.timezone.lower():
        return None
    return Note("zone_alias", f"{name} is an old name; it is stored as {s.timezone}.")


def _same_day_double(s: Schedule, now: datetime) -> Note | None:
    """Warn where one local time comes twice, or is shifted onto the next local date."""
    for change in transitions(s, now=now):
        for one in change.affected:
            if one.effect == "twice" or any(local(s, at).date() != one.wall.date() for at in one.slots):
                shown = local(s, one.slots[-1])
                return Note("same_day_double", f"On {shown:%Y-%m-%d} this comes once more than usual.")
    return None


def _silent_hour(s: Schedule, now: datetime) -> Note | None:
    """Warn where a rule that comes every hour says nothing for the length of a repeated hour."""
    if not isinstance(s, Cron) or not cron.every_hour(s) or s.dst.overlap == "both":
        return None
    for change in transitions(s, now=now):
        if change.kind == "overlap":
            detail = (
                f'The repeated hour of {change.at:%Y-%m-%d} counts once; "overlap": "both" counts it twice.'
            )
            return Note("silent_hour", detail)
    return None
