"""When a saved schedule is due: the columns that go with it."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row

from notifier.domain import schedule
from notifier.domain.errors import InvalidInput
from notifier.domain.schedule import Calendar, Interval, Schedule
from notifier.services.context import Context


def read_rule(value: object, start_at: str | None = None) -> Schedule:
    """Return the schedule that JSON describes; `start_at` beside it is a shorthand for the one inside.

    Raises InvalidInput under /schedule or /start_at.
    """
    try:
        rule = schedule.parse(value)
    except InvalidInput as error:
        raise error.under("/schedule") from None
    return rule if start_at is None else schedule.parse({**schedule.to_json(rule), "start_at": start_at})


def columns(ctx: Context, rule: Schedule, *, last_slot_at: datetime | None = None) -> dict[str, Any]:
    """Return the columns that say when a schedule saved now is due. Raises InvalidInput if it never is."""
    first = _first_slot(rule, ctx.now, last_slot_at)
    if first is None:
        raise InvalidInput.at("/schedule", "never_due", "This schedule has no slot after now.")
    return {
        "schedule": schedule.to_json(rule),
        "tz_version": None if isinstance(rule, Interval) else schedule.zones.version(),
        "anchor_at": schedule.first_anchor(rule, now=ctx.now),
        "drift_seconds": drift_seconds(rule),
        "next_due_at": first,
        "slots_sent": 0,
        "completed_at": None,
    }


def drift_seconds(rule: Schedule) -> int | None:
    """Return the period of an interval whose clock every delivery moves, else None."""
    if isinstance(rule, Interval) and schedule.drifts(rule):
        return int(rule.period.total_seconds())
    return None


def restarted(ctx: Context, row: Row[Any]) -> dict[str, Any]:
    """Return the columns of an interval that counts from now."""
    rule = schedule.parse(row.schedule)
    next_due_at = schedule.next_slot(rule, after=ctx.now, anchor=ctx.now, ended=row.slots_sent)
    return {"anchor_at": ctx.now, "next_due_at": next_due_at}


def _first_slot(rule: Schedule, now: datetime, last_slot_at: datetime | None) -> datetime | None:
    """Return the first slot after now that neither repeats the last one nor doubles its date."""
    first = schedule.first_slot(rule, now=now)
    anchor = schedule.first_anchor(rule, now=now)
    while first is not None and last_slot_at is not None and _repeats(rule, first, last_slot_at):
        first = schedule.next_slot(rule, after=first, anchor=anchor)
    return first


def _repeats(rule: Schedule, slot: datetime, last_slot_at: datetime) -> bool:
    """Say whether a slot comes too soon after the last one: not after it, or on its date for a daily one."""
    if slot <= last_slot_at:
        return True
    once_a_day = isinstance(rule, Calendar) and rule.frequency == "daily" and len(rule.times) == 1
    return once_a_day and schedule.local(rule, slot).date() == schedule.local(rule, last_slot_at).date()
