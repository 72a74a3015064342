"""Exceptions: one coming slot is skipped, moved or reworded, without touching the rule."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from notifier import rendering
from notifier.clock import new_id
from notifier.domain import schedule
from notifier.domain.errors import Conflict, InvalidInput, NotFound
from notifier.domain.schedule import Schedule
from notifier.services import revisions
from notifier.services.context import Context, parse_id
from notifier.storage import exceptions

TICK = timedelta(microseconds=1)
MOST_COMING = 366
"""Exceptions of coming slots that one notification may have; who needs more wants another schedule."""

FIELDS = {"skip": set[str](), "move": {"move_to"}, "reword": {"title", "body"}}
"""What goes with each action."""


async def create(ctx: Context, notification_id: str, draft: Mapping[str, Any]) -> Row[Any]:
    """Add an exception for one coming slot. `draft` holds slot, action, move_to, title, body.

    Raises NotFound, InvalidInput, Conflict if the slot has one already.
    """
    row = await revisions.lock(ctx, notification_id)
    revisions.refuse_completed(row, "except")
    rule = schedule.parse(row.schedule)
    _check_slot(ctx, row, rule, draft["slot"])
    others = await _coming(ctx, row)
    _check_action(ctx, row, rule, draft, others)
    if any(one.slot_at == draft["slot"] for one in others):
        raise Conflict("This slot has an exception already; delete that one first.")
    if len(others) >= MOST_COMING:
        raise Conflict(f"It has {MOST_COMING} exceptions already; change its schedule instead.")
    values = {
        "project_id": ctx.project_id,
        "id": new_id(),
        "notification_id": row.id,
        "slot_at": draft["slot"],
        **{name: draft[name] for name in ("action", "move_to", "title", "body")},
    }
    return await exceptions.add(ctx.session, values)


async def page(ctx: Context, notification_id: str) -> Sequence[Row[Any]]:
    """Return the exceptions of a notification's coming slots, first slot first. Raises NotFound."""
    return await _coming(ctx, await revisions.read(ctx, parse_id(notification_id, "notification")))


async def delete(ctx: Context, notification_id: str, exception_id: str) -> None:
    """Undo an exception. Raises NotFound, Conflict once its slot has been taken up."""
    row = await revisions.lock(ctx, notification_id)
    wanted = parse_id(exception_id, "exception")
    found = await exceptions.get(ctx.session, ctx.project_id, row.id, wanted)
    if found is None:
        raise NotFound(f"No exception has the id {exception_id!r}.")
    # a sweep may plan the moved slot at this very moment: then nothing is left to undo
    if _has_passed(ctx, row, found.slot_at) or not await exceptions.remove(
        ctx.session, ctx.project_id, [wanted]
    ):
        raise Conflict("Its slot has been taken up already.")


async def drop_unfit(ctx: Context, row: Row[Any], rule: Schedule) -> None:
    """Undo the exceptions of slots that a new schedule lacks, and moves onto slots that it has.

    `row` is the notification as the new schedule leaves it.
    """
    unfit = [
        one.id
        for one in await _coming(ctx, row)
        if not _has_passed(ctx, row, one.slot_at)
        and (
            not _is_slot(row, rule, one.slot_at)
            or (one.move_to is not None and _is_slot(row, rule, one.move_to))
        )
    ]
    await exceptions.remove(ctx.session, ctx.project_id, unfit)


async def _coming(ctx: Context, row: Row[Any]) -> Sequence[Row[Any]]:
    since = min(row.next_due_at or ctx.now, ctx.now)
    return await exceptions.coming(ctx.session, ctx.project_id, row.id, since=since)


def _has_passed(ctx: Context, row: Row[Any], slot: datetime) -> bool:
    """Say whether a slot is over; a sweep may have planned it after this request began."""
    return slot <= ctx.now or (row.last_slot_at is not None and slot <= row.last_slot_at)


def _is_slot(row: Row[Any], rule: Schedule, at: datetime) -> bool:
    """Say whether the rule has a slot at an instant; one that counts from deliveries knows only its next."""
    if at == row.next_due_at:
        return True
    following = schedule.next_slot(rule, after=at - TICK, anchor=row.anchor_at)
    return following == at and not schedule.drifts(rule)


def _check_slot(ctx: Context, row: Row[Any], rule: Schedule, slot: datetime) -> None:
    """Raise InvalidInput unless `slot` is coming."""
    if _has_passed(ctx, row, slot):
        raise InvalidInput.at("/slot", "slot_has_passed", "Only a coming slot can have an exception.")
    if not _is_slot(row, rule, slot):
        raise InvalidInput.at(
            "/slot", "not_a_slot", "This is not a coming slot; GET .../upcoming lists them."
        )


def _check_action(
    ctx: Context, row: Row[Any], rule: Schedule, draft: Mapping[str, Any], others: Sequence[Row[Any]]
) -> None:
    """Raise InvalidInput unless the fields fit the action."""
    for name in ("move_to", "title", "body"):
        if draft[name] is not None and name not in FIELDS[draft["action"]]:
            raise InvalidInput.at(f"/{name}", "not_allowed", "This does not go with the action.")
    if draft["action"] == "move":
        _check_move(ctx, row, rule, draft["move_to"], others)
    if draft["action"] == "reword":
        _check_words(row, rule, draft)


def _check_move(
    ctx: Context, row: Row[Any], rule: Schedule, move_to: datetime | None, others: Sequence[Row[Any]]
) -> None:
    if move_to is None:
        raise InvalidInput.at("/move_to", "missing", "This is required to move a slot.")
    if _has_passed(ctx, row, move_to):
        raise InvalidInput.at("/move_to", "not_in_the_future", "This must lie in the future.")
    if _is_slot(row, rule, move_to) or any(one.move_to == move_to for one in others):
        raise InvalidInput.at("/move_to", "slot_taken", "There is a slot at that instant already.")


def _check_words(row: Row[Any], rule: Schedule, draft: Mapping[str, Any]) -> None:
    if draft["title"] is None and draft["body"] is None:
        raise InvalidInput.at("/title", "missing", "Give a `title`, a `body` or both.")
    title, body = draft["title"] or row.title, draft["body"] if draft["body"] is not None else row.body
    rendering.validate(title, body, row.data, slot=schedule.local(rule, draft["slot"]))
