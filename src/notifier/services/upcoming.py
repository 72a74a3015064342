"""The coming slots of a stored notification, with its exceptions."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from notifier.domain import schedule
from notifier.domain.schedule import Note, Schedule
from notifier.services import exceptions, revisions
from notifier.services.context import Context, parse_id
from notifier.services.schedules import Slot, coming

NOTES = {
    "skip": Note("skipped", "Nothing is sent: an exception skips this slot."),
    "reword": Note("reworded", "An exception gives it other words."),
    "late": Note("late", "It is due now and will be sent with the next sweep."),
}


async def of_notification(ctx: Context, notification_id: str, *, count: int) -> list[Slot]:
    """Return up to `count` coming slots, by instant; none while nothing is due. Raises NotFound."""
    row = await revisions.read(ctx, parse_id(notification_id, "notification"))
    if row.status != "active":
        return []
    rule = schedule.parse(row.schedule)
    found = {one.slot_at: one for one in await exceptions.page(ctx, notification_id)}
    planned = coming(rule, first=row.next_due_at, anchor=row.anchor_at, count=count, ended=row.slots_sent)
    slots = [_excepted(slot, found, ctx.now) for slot in planned]
    return sorted([*slots, *_moved(rule, found)], key=lambda slot: slot.at)[:count]


def _excepted(slot: Slot, found: Mapping[datetime, Row[Any]], now: datetime) -> Slot:
    notes = list(slot.notes)
    if slot.at <= now:
        notes.append(NOTES["late"])
    one = found.get(slot.at)
    if one is not None and one.action == "move":
        notes.append(Note("moved_away", f"An exception moves it to {one.move_to.isoformat()}."))
    elif one is not None:
        notes.append(NOTES[one.action])
    return Slot(slot.at, slot.local, tuple(notes))


def _moved(rule: Schedule, found: Mapping[datetime, Row[Any]]) -> Iterator[Slot]:
    """Yield the slots that exceptions moved, where they are now."""
    for one in found.values():
        if one.action == "move" and one.planned_at is None:
            note = Note("moved", f"An exception moves it here from {one.slot_at.isoformat()}.")
            yield Slot(one.move_to, schedule.local(rule, one.move_to), (note,))
