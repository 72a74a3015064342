"""Notifications: create, find, change, replace, delete."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from notifier import rendering
from notifier.clock import new_id
from notifier.domain import schedule
from notifier.domain.delivery import Reason
from notifier.domain.errors import NotFound
from notifier.domain.schedule import Note, Schedule, Transition
from notifier.services import exceptions, recipients, revisions, timing
from notifier.services.context import Context, check_revision, parse_id
from notifier.storage import deliveries, notifications
from notifier.storage.paging import Page

DEFAULT_TO = ("log:",)
EDITABLE = ("external_id", "title", "body", "data")


@dataclass(frozen=True, slots=True)
class Saved:
    """A stored notification, and what only this answer tells.

    `secrets` are those of destinations made for it, by id. `transitions` and `warnings` are about a
    schedule that was just given.
    """

    row: Row[Any]
    secrets: Mapping[UUID, str]
    transitions: Sequence[Transition] | None = None
    warnings: Sequence[Note] | None = None
    created: bool = False


async def create(ctx: Context, draft: Mapping[str, Any]) -> Saved:
    """Store a notification and work out when it is first due.

    `draft` holds title, body, data, schedule (as JSON), start_at, to, external_id. Raises InvalidInput,
    DuplicateExternalId.
    """
    if draft["external_id"] is not None:
        await notifications.lock_external_id(ctx.session, ctx.project_id, draft["external_id"])
    return await _create(ctx, draft)


async def _create(ctx: Context, draft: Mapping[str, Any]) -> Saved:
    rule = timing.read_rule(draft["schedule"], draft.get("start_at"))
    _check_content(ctx, draft, rule)
    to, secrets = await recipients.resolve(ctx, draft.get("to") or DEFAULT_TO)
    values = {
        "project_id": ctx.project_id,
        "id": new_id(),
        **{name: draft[name] for name in EDITABLE},
        **timing.columns(ctx, rule),
    }
    adding = notifications.add(ctx.session, values, changed_by=ctx.caller.name)
    await revisions.write(adding, draft["external_id"])
    await notifications.set_destinations(ctx.session, ctx.project_id, values["id"], to)
    return await _saved(ctx, values["id"], secrets, rule, draft["schedule"], created=True)


async def put(ctx: Context, external_id: str, draft: Mapping[str, Any], *, revision: int | None) -> Saved:
    """Create the notification with this external id, or replace all of it but its pause.

    Raises InvalidInput, PreconditionFailed.
    """
    await notifications.lock_external_id(ctx.session, ctx.project_id, external_id)
    found = await notifications.lock_by_external_id(ctx.session, ctx.project_id, external_id)
    if found is None:
        check_revision(revision, 0)
        return await _create(ctx, {**draft, "external_id": external_id})
    whole = {name: draft[name] for name in ("title", "body", "data", "schedule", "start_at")}
    return await update(ctx, str(found), {**whole, "to": draft.get("to") or DEFAULT_TO}, revision=revision)


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
    row = await revisions.lock(ctx, notification_id, revision)
    rule = _changed_rule(row, changes)
    values = {
        name: changes[name] for name in EDITABLE if name in changes and changes[name] != row._mapping[name]
    }
    _check_content(ctx, {**row._mapping, **values}, rule)
    if retimed := schedule.to_json(rule) != row.schedule:
        row = await revisions.settle(ctx, row)
        values |= timing.columns(ctx, rule, last_slot_at=row.last_slot_at)
    redirected, secrets = await _redirect(ctx, row.id, changes["to"]) if "to" in changes else (False, {})
    if values or redirected:
        await revisions.change(ctx, row, values)
    if retimed:
        await exceptions.drop_unfit(ctx, await revisions.read(ctx, row.id), rule)
    return await _saved(ctx, row.id, secrets, rule, changes.get("schedule"))


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
    ctx: Context,
    notification_id: UUID,
    secrets: Mapping[UUID, str],
    rule: Schedule,
    given: object,
    *,
    created: bool = False,
) -> Saved:
    """Return what was saved; of a schedule that was given, its consequences too."""
    row = await revisions.read(ctx, notification_id)
    if given is None:
        return Saved(row, secrets)
    touched = schedule.transitions(rule, now=ctx.now)
    return Saved(row, secrets, touched, schedule.warnings(rule, now=ctx.now, given=given), created)


async def _redirect(ctx: Context, notification_id: UUID, to: Sequence[str]) -> tuple[bool, dict[UUID, str]]:
    """Send to `to` from now on; return whether that differs, and the secrets of destinations made for it."""
    wanted, secrets = await recipients.resolve(ctx, to)
    shown = await revisions.read(ctx, notification_id)
    if [str(one) for one in wanted] == [one["id"] for one in shown.destinations]:
        return False, secrets
    await notifications.set_destinations(ctx.session, ctx.project_id, notification_id, wanted)
    return True, secrets


def _changed_rule(row: Row[Any], changes: Mapping[str, Any]) -> Schedule:
    """Return the schedule as `changes` leave it."""
    if "schedule" in changes or "start_at" in changes:
        return timing.read_rule(changes.get("schedule", row.schedule), changes.get("start_at"))
    return schedule.parse(row.schedule)


def _check_content(ctx: Context, content: Mapping[str, Any], rule: Schedule) -> None:
    """Render the templates once with the real data. Raises InvalidInput."""
    slot = schedule.local(rule, ctx.now)
    rendering.validate(content["title"], content["body"], content["data"], slot=slot)
