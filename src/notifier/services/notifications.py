"""Notifications: create, find, change, replace, delete."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from notifier.domain import schedule
from notifier.domain.delivery import Reason
from notifier.domain.errors import NotFound
from notifier.domain.schedule import Schedule
from notifier.services import creation, exceptions, recipients, revisions, timing
from notifier.services.context import Context, check_revision, parse_id
from notifier.services.creation import DEFAULT_TO, Saved
from notifier.services.recipients import Directory, Item
from notifier.storage import deliveries, notifications
from notifier.storage.paging import Page

EDITABLE = ("external_id", "title", "body", "data")
Recipients = tuple[Sequence[Item], Directory]
MOST_TRIES = 3
"""How often a notification may be made or deleted by others between two statements of one call."""


async def create(ctx: Context, draft: Mapping[str, Any]) -> Saved:
    """Store a notification and work out when it is first due.

    `draft` holds title, body, data, schedule (as JSON), start_at, to, external_id. Raises InvalidInput,
    DuplicateExternalId.
    """
    saved = await creation.create(ctx, draft)
    if saved is None:
        raise revisions.taken(draft["external_id"])
    return saved


async def put(ctx: Context, external_id: str, draft: Mapping[str, Any], *, revision: int | None) -> Saved:
    """Create the notification with this external id, or replace all of it but its pause.

    Raises InvalidInput, PreconditionFailed.
    """
    whole = {name: draft[name] for name in ("title", "body", "data", "schedule", "start_at")}
    whole["to"] = draft.get("to") or DEFAULT_TO
    items = recipients.read(ctx, whole["to"])
    directory = await recipients.resolve(ctx, items)
    for _ in range(MOST_TRIES):
        found = await notifications.lock_by_external_id(ctx.session, ctx.project_id, external_id)
        if found is not None:
            return await _update(ctx, str(found), whole, revision, (items, directory))
        check_revision(revision, 0)
        # none if somebody else has just made it, and that is committed by now
        if saved := await creation.create(ctx, {**whole, "external_id": external_id}, directory):
            return saved
    raise revisions.taken(external_id)


async def get(ctx: Context, notification_id: str) -> Row[Any]:
    """Return one notification. Raises NotFound."""
    return await revisions.read(ctx, parse_id(notification_id, "notification"))


async def get_by_external_id(ctx: Context, external_id: str) -> Row[Any]:
    """Return the notification with this external id. Raises NotFound."""
    row = await notifications.get_by_external_id(ctx.session, ctx.project_id, external_id)
    if row is None:
        raise NotFound(f"No notification has the external id {external_id!r}.")
    return row


async def page(ctx: Context, *, filters: Mapping[str, Any], after: UUID | None, limit: int) -> Page:
    """Return a page of notifications, newest first."""
    return await notifications.page(ctx.session, ctx.project_id, filters=filters, after=after, limit=limit)


async def update(
    ctx: Context, notification_id: str, changes: Mapping[str, Any], *, revision: int | None
) -> Saved:
    """Write what differs as a new revision; a changed schedule is due afresh, counted from now."""
    if "to" not in changes:
        return await _update(ctx, notification_id, changes, revision)
    items = recipients.read(ctx, changes["to"])
    return await _update(
        ctx, notification_id, changes, revision, (items, await recipients.resolve(ctx, items))
    )


async def _update(
    ctx: Context,
    notification_id: str,
    changes: Mapping[str, Any],
    revision: int | None,
    to: Recipients | None = None,
) -> Saved:
    row = await revisions.lock(ctx, notification_id, revision)
    rule = _changed_rule(row, changes)
    values = {
        name: changes[name] for name in EDITABLE if name in changes and changes[name] != row._mapping[name]
    }
    creation.check_content(ctx, {**row._mapping, **values}, rule)
    if retimed := schedule.to_json(rule) != row.schedule:
        row = await revisions.settle(ctx, row)
        values |= timing.columns(ctx, rule, last_slot_at=row.last_slot_at)
    redirected = to is not None and await _redirect(ctx, row.id, *to)
    if values or redirected:
        await revisions.change(ctx, row, values)
    if retimed:
        await exceptions.drop_unfit(ctx, await revisions.read(ctx, row.id), rule)
    return await _saved(ctx, row.id, rule, changes.get("schedule"), to, begins=retimed)


async def delete(ctx: Context, notification_id: str, *, revision: int | None, purge: bool = False) -> None:
    """Delete: no new slots, unstarted deliveries are canceled, the ledger is kept.

    `purge` erases the content, also of a notification that was deleted before.
    """
    tombstone = await revisions.lock_deleted(ctx, notification_id) if purge else None
    row = tombstone or await revisions.settle(ctx, await revisions.lock(ctx, notification_id, revision))
    if tombstone is None:
        await revisions.change(ctx, row, {"deleted_at": ctx.now, "next_due_at": None})
        await deliveries.cancel_unstarted(ctx.session, ctx.project_id, row.id, Reason.NOTIFICATION_DELETED)
    if purge:
        await notifications.erase(ctx.session, ctx.project_id, row.id)


async def _saved(
    ctx: Context, notification_id: UUID, rule: Schedule, given: object, to: Recipients | None, *, begins: bool
) -> Saved:
    """Return what was saved; of a schedule and of destinations that were given, the consequences too."""
    row = await revisions.read(ctx, notification_id)
    touched = None if given is None else schedule.transitions(rule, now=ctx.now)
    warnings = None if given is None else schedule.warnings(rule, now=ctx.now, given=given, begins=begins)
    if to is None:
        return Saved(row, {}, touched, warnings)
    items, directory = to
    more = recipients.warnings(ctx, directory.named(items))
    return Saved(row, directory.secrets, touched, [*(warnings or ()), *more])


async def _redirect(ctx: Context, notification_id: UUID, items: Sequence[Item], directory: Directory) -> bool:
    """Send to what `items` name from now on; return whether that differs."""
    wanted = [row.id for row in directory.named(items)]
    shown = await revisions.read(ctx, notification_id)
    if [str(one) for one in wanted] == [one["id"] for one in shown.destinations]:
        return False
    await notifications.set_destinations(ctx.session, ctx.project_id, notification_id, wanted)
    return True


def _changed_rule(row: Row[Any], changes: Mapping[str, Any]) -> Schedule:
    """Return the schedule as `changes` leave it."""
    if "schedule" in changes or "start_at" in changes:
        return timing.read_rule(changes.get("schedule", row.schedule), changes.get("start_at"))
    return schedule.parse(row.schedule)
