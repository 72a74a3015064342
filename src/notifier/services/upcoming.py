"""The coming slots of a stored notification, with its exceptions."""

from collections.abc import Iterator, Mapping
from datetime import datetime, time, timedelta
from typing import Any

from sqlalchemy import Row

from notifier.domain import schedule
from notifier.domain.schedule import Note, Schedule
from notifier.services import revisions
from notifier.services.context import Context, parse_id
from notifier.services.schedules import Slot, coming

NOTES = {
    "skip": Note("skipped", "Nothing is sent: an exception skips this slot."),
    "reword": Note("reworded", "An exception gives it other words."),
    "late": Note("late", "It is due now and will be sent with the next sweep."),
}
MOST_PASSED_OVER = 400
"""Slots or dates left out in a row after which nothing is expected to be sent any more."""

MAY_SEND = {"active", "completed"}
"""States in which a message may go out: after the last slot of the rule, one that was moved beyond it."""

TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)


async def of_notification(ctx: Context, notification_id: str, *, count: int) -> list[Slot]:
    """Return up to `count` coming slots, by instant; none while nothing is due. Raises NotFound."""
    row = await revisions.read(ctx, parse_id(notification_id, "notification"))
    if row.status not in MAY_SEND:
        return []
    rule = schedule.parse(row.schedule)
    found = _exceptions(row)
    planned = coming(rule, first=row.next_due_at, anchor=row.anchor_at, count=count, ended=row.slots_sent)
    slots = [_excepted(slot, found, ctx.now) for slot in planned]
    moved = [_moved(rule, one) for one in found.values() if one["waits"]]
    return sorted([*slots, *moved], key=lambda slot: slot.at)[:count]


def next_sent_at(row: Row[Any]) -> datetime | None:
    """Return the next instant (UTC) at which a message is to go out, None while none is.

    The planner stops at every slot to record it; users are shown the next one that is not left out by date
    or by an exception, or the instant to which one was moved.
    """
    if row.status not in MAY_SEND:
        return None
    if not row.exceptions and not row.schedule.get("exclude_dates") and not row.schedule.get("holidays"):
        due: datetime | None = row.next_due_at
        return due
    found = _exceptions(row)
    moved = (one["move_to"] for one in found.values() if one["waits"])
    return min(filter(None, (_next_kept(row, found), *moved)), default=None)


def _next_kept(row: Row[Any], found: Mapping[datetime, Mapping[str, Any]]) -> datetime | None:
    """Return the first slot of the rule that is neither left out by date nor skipped or moved away."""
    rule = schedule.parse(row.schedule)
    slot: datetime | None = row.next_due_at
    for _ in range(MOST_PASSED_OVER + len(found)):
        if slot is None:
            return None
        if schedule.excluded(rule, slot):
            after = _end_of_date(rule, slot)
        elif slot in found and found[slot]["action"] != "reword":
            after = slot
        else:
            return slot
        slot = schedule.next_slot(rule, after=after, anchor=row.anchor_at, ended=row.slots_sent)
    return None


def _end_of_date(rule: Schedule, slot: datetime) -> datetime:
    """Return the last instant of a slot's local date, so that a date is passed over in one step."""
    tomorrow = datetime.combine(
        schedule.rule_date(rule, slot) + DAY, time(), schedule.local(rule, slot).tzinfo
    )
    return max(slot, tomorrow.astimezone(slot.tzinfo) - TICK)


def _exceptions(row: Row[Any]) -> dict[datetime, dict[str, Any]]:
    """Return the exceptions of the coming slots, by slot; `waits` marks a moved one that is still to come."""
    read = datetime.fromisoformat
    return {
        read(one["slot"]): {
            **one,
            "slot": read(one["slot"]),
            "move_to": one["move_to"] and read(one["move_to"]),
        }
        for one in row.exceptions
    }


def _excepted(slot: Slot, found: Mapping[datetime, Mapping[str, Any]], now: datetime) -> Slot:
    return Slot(slot.at, slot.local, (*slot.notes, *_notes(slot, found.get(slot.at), now)))


def _notes(slot: Slot, exception: Mapping[str, Any] | None, now: datetime) -> Iterator[Note]:
    if slot.at <= now:
        yield NOTES["late"]
    if exception is not None and exception["action"] == "move":
        yield Note("moved_away", f"An exception moves it to {exception['move_to'].isoformat()}.")
    elif exception is not None:
        yield NOTES[exception["action"]]


def _moved(rule: Schedule, one: Mapping[str, Any]) -> Slot:
    """Return a slot that an exception moved, where it is now."""
    note = Note("moved", f"An exception moves it here from {one['slot'].isoformat()}.")
    return Slot(one["move_to"], schedule.local(rule, one["move_to"]), (note,))
