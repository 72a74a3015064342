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


async def create(ctx: Context, notification_id: str, draft: Mapping[str, Any]) -> Row[Any]:
    """Add an exception for one coming slot. `draft` holds slot, action, move_to, title, body.

    Raises NotFound, InvalidInput, Conflict if the slot has one already.
    """
    row = await revisions.lock(ctx, notification_id)
    revisions.refuse_completed(row, "except")
    rule = schedule.parse(row.schedule)
    _check_slot(ctx, row, rule, draft["slot"])
    _check_action(ctx, row, rule, draft)
    if await exceptions.of_slot(ctx.session, ctx.project_id, row.id, draft["slot"]):
        raise Conflict("This slot has an exception already; delete that one first.")
    values = {
        "project_id": ctx.project_id,
        "id": new_id(),
        "notification_id": row.id,
        "slot_at": draft["slot"],
        **{name: draft[name] for name in ("action", "move_to", "title", "body")},
    }
    return await exceptions.add(ctx.session, values)


async def page(ctx: Context, notification_id: str) -> Sequence[Row[Any]]:
    """Return the exceptions of a notification, by slot. Raises NotFound."""
    row = await revisions.read(ctx, parse_id(notification_id, "notification"))
    return await exceptions.of_notification(ctx.session, ctx.project_id, row.id)


async def delete(ctx: Context, notification_id: str, exception_id: str) -> None:
    """Undo an exception. Raises NotFound, Conflict once its slot has been taken up."""
    row = await revisions.lock(ctx, notification_id)
    wanted = parse_id(exception_id, "exception")
    found = await exceptions.get(ctx.session, ctx.project_id, row.id, wanted)
    if found is None:
        raise NotFound(f"No exception has the id {exception_id!r}.")
    if found.planned_at is not None or found.slot_at <= ctx.now:
        raise Conflict("Its slot has been taken up already.")
    await exceptions.remove(ctx.session, ctx.project_id, wanted)


def _check_slot(ctx: Context, row: Row[Any], rule: Schedule, slot: datetime) -> None:
    """Raise InvalidInput unless `slot` is coming. One that counts from deliveries knows only its next."""
    if slot <= ctx.now:
        raise InvalidInput.at("/slot", "slot_has_passed", "Only a coming slot can have an exception.")
    if slot == row.next_due_at:
        return
    following = schedule.next_slot(rule, after=slot - TICK, anchor=row.anchor_at)
    if schedule.drifts(rule) or following != slot:
        raise InvalidInput.at(
            "/slot", "not_a_slot", "This is not a coming slot; GET .../upcoming lists them."
        )


def _check_action(ctx: Context, row: Row[Any], rule: Schedule, draft: Mapping[str, Any]) -> None:
    """Raise InvalidInput unless the fields fit the action."""
    allowed = {"skip": set(), "move": {"move_to"}, "reword": {"title", "body"}}[draft["action"]]
    for name in ("move_to", "title", "body"):
        if draft[name] is not None and name not in allowed:
            raise InvalidInput.at(f"/{name}", "not_allowed", f"`{name}` does not go with this action.")
    if draft["action"] == "move":
        _check_move(ctx, row, rule, draft["move_to"])
    if draft["action"] == "reword":
        _check_words(row, rule, draft)


def _check_move(ctx: Context, row: Row[Any], rule: Schedule, move_to: datetime | None) -> None:
    if move_to is None:
        raise InvalidInput.at("/move_to", "missing", "`move_to` is required to move a slot.")
    if move_to <= ctx.now:
        raise InvalidInput.at("/move_to", "not_in_the_future", "`move_to` must lie in the future.")
    if schedule.next_slot(rule, after=move_to - TICK, anchor=row.anchor_at) == move_to:
        raise InvalidInput.at("/move_to", "slot_taken", "The rule has a slot at that instant already.")


def _check_words(row: Row[Any], rule: Schedule, draft: Mapping[str, Any]) -> None:
    if draft["title"] is None and draft["body"] is None:
        raise InvalidInput.at("/title", "missing", "Give a `title`, a `body` or both.")
    title, body = draft["title"] or row.title, draft["body"] if draft["body"] is not None else row.body
    rendering.validate(title, body, row.data, slot=schedule.local(rule, draft["slot"]))
