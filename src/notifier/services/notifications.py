"""Notifications: create, change, pause, resume, delete, send now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError

from notifier import rendering
from notifier.clock import new_id
from notifier.domain import schedule
from notifier.domain.delivery import Reason, Trigger, message_id
from notifier.domain.errors import Conflict, DuplicateExternalId, InvalidInput, NotFound
from notifier.services import destinations, recipients
from notifier.services.context import Context, check_revision, parse_id
from notifier.storage import deliveries, notifications
from notifier.storage.paging import Page

DEFAULT_TO = ("log:",)
EDITABLE = ("external_id", "title", "body", "data")


@dataclass(frozen=True, slots=True)
class Saved:
    """A stored notification, and the signing secrets of destinations that were made for it, by id."""

    row: Row[Any]
    secrets: Mapping[UUID, str]


async def create(ctx: Context, draft: Mapping[str, Any]) -> Saved:
    """Store a notification and work out when it is first due.

    `draft` holds title, body, data, schedule (as JSON), start_at, to, external_id. Raises InvalidInput,
    DuplicateExternalId.
    """
    rule = _parse_rule(draft["schedule"], draft.get("start_at"))
    _check_content(ctx, draft, rule)
    to, secrets = await recipients.resolve(ctx, draft.get("to") or DEFAULT_TO)
    values = {
        "project_id": ctx.project_id,
        "id": new_id(),
        **{name: draft[name] for name in EDITABLE},
        **_timing(ctx, rule),
    }
    await _write(notifications.add(ctx.session, values, changed_by=ctx.caller.name), draft["external_id"])
    await notifications.set_destinations(ctx.session, ctx.project_id, values["id"], to)
    return Saved(await _read(ctx, values["id"]), secrets)


async def get(ctx: Context, notification_id: str) -> Row[Any]:
    """Return one notification. Raises NotFound."""
    return await _read(ctx, parse_id(notification_id, "notification"))


async def page(ctx: Context, *, filters: Mapping[str, Any], after: UUID | None, limit: int) -> Page:
    """Return a page of notifications, newest first."""
    return await notifications.page(ctx.session, ctx.project_id, filters=filters, after=after, limit=limit)


async def update(
    ctx: Context, notification_id: str, changes: Mapping[str, Any], *, revision: int | None
) -> Saved:
    """Write what differs as a new revision; a changed schedule is due afresh, counted from now."""
    row = await _lock(ctx, notification_id)
    check_revision(revision, row.revision)
    rule = _changed_rule(row, changes)
    values = {
        name: changes[name] for name in EDITABLE if name in changes and changes[name] != row._mapping[name]
    }
    if schedule.to_json(rule) != row.schedule:
        values |= _timing(ctx, rule) | {"completed_at": None}
    _check_content(ctx, {**row._mapping, **values}, rule)
    redirected, secrets = await _redirect(ctx, row.id, changes["to"]) if "to" in changes else (False, {})
    if values or redirected:
        await _change(ctx, row, values)
    return Saved(await _read(ctx, row.id), secrets)


async def pause(ctx: Context, notification_id: str, *, reason: str | None, revision: int | None) -> Row[Any]:
    """Stop new slots until it is resumed; what is under way goes on."""
    row = await _lock(ctx, notification_id)
    check_revision(revision, row.revision)
    _refuse_completed(row, "pause")
    if row.paused_at is None:
        await _change(ctx, row, {"paused_at": ctx.now, "pause_reason": reason, "paused_by": ctx.caller.name})
    return await _read(ctx, row.id)


async def resume(ctx: Context, notification_id: str, *, revision: int | None) -> Row[Any]:
    """Go on with the first slot after now: never an immediate send. An interval's clock restarts."""
    row = await _lock(ctx, notification_id)
    check_revision(revision, row.revision)
    _refuse_completed(row, "resume")
    if row.paused_at is not None or row.blocked_at is not None:
        rule = schedule.parse(row.schedule)
        restart = {
            "anchor_at": _restarted_anchor(ctx, row, rule),
            "next_due_at": None,
            "paused_at": None,
            "pause_reason": None,
            "paused_by": None,
            "blocked_at": None,
            "blocked_reason": None,
        }
        restart["next_due_at"] = schedule.next_slot(rule, after=ctx.now, anchor=restart["anchor_at"])
        if restart["next_due_at"] is None:
            restart["completed_at"] = ctx.now
        await _change(ctx, row, restart)
    return await _read(ctx, row.id)


async def delete(ctx: Context, notification_id: str, *, revision: int | None) -> None:
    """Delete: no new slots, unstarted deliveries are canceled, the ledger is kept."""
    row = await _lock(ctx, notification_id)
    check_revision(revision, row.revision)
    await _change(ctx, row, {"deleted_at": ctx.now, "next_due_at": None})
    await deliveries.cancel_unstarted(ctx.session, ctx.project_id, row.id, Reason.NOTIFICATION_DELETED)


async def send_now(ctx: Context, notification_id: str, *, reset_clock: bool) -> list[Row[Any]]:
    """Queue one message per destination at once; the clock stays where it is unless `reset_clock`."""
    row = await _lock(ctx, notification_id)
    shown = await _read(ctx, row.id)
    rows = [
        {
            "project_id": ctx.project_id,
            "id": new_id(),
            "notification_id": row.id,
            "revision": row.revision,
            "destination_id": UUID(target["id"]),
            "trigger": Trigger.MANUAL,
            "scheduled_for": ctx.now,
            "message_id": message_id(row.id, UUID(target["id"]), ctx.now),
        }
        for target in shown.destinations
    ]
    if reset_clock and row.next_due_at is not None:
        await _reset_clock(ctx, row)
    return await destinations.queue_deliveries(ctx, rows)


async def _redirect(ctx: Context, notification_id: UUID, to: Sequence[str]) -> tuple[bool, dict[UUID, str]]:
    """Send to `to` from now on; return whether that differs, and the secrets of destinations made for it."""
    wanted, secrets = await recipients.resolve(ctx, to)
    shown = await _read(ctx, notification_id)
    if [str(one) for one in wanted] == [one["id"] for one in shown.destinations]:
        return False, secrets
    await notifications.set_destinations(ctx.session, ctx.project_id, notification_id, wanted)
    return True, secrets


def _changed_rule(row: Row[Any], changes: Mapping[str, Any]) -> schedule.Schedule:
    """Return the schedule as `changes` leave it."""
    if "schedule" in changes or "start_at" in changes:
        return _parse_rule(changes.get("schedule", row.schedule), changes.get("start_at"))
    return schedule.parse(row.schedule)


def _parse_rule(value: object, start_at: str | None) -> schedule.Schedule:
    """Return the schedule; `start_at` beside it is a shorthand for the one inside."""
    try:
        rule = schedule.parse(value)
    except InvalidInput as error:
        raise error.under("/schedule") from None
    return rule if start_at is None else schedule.parse({**schedule.to_json(rule), "start_at": start_at})


def _timing(ctx: Context, rule: schedule.Schedule) -> dict[str, Any]:
    """Return the columns that say when a schedule saved now is due."""
    first = schedule.first_slot(rule, now=ctx.now)
    if first is None:
        raise InvalidInput.at("/schedule", "never_due", "This schedule has no slot after now.")
    return {
        "schedule": schedule.to_json(rule),
        "anchor_at": schedule.first_anchor(rule, now=ctx.now),
        "drift_seconds": _drift_seconds(rule),
        "next_due_at": first,
    }


def _drift_seconds(rule: schedule.Schedule) -> int | None:
    """Return the period of an interval whose clock every delivery moves, else None."""
    if isinstance(rule, schedule.Interval) and schedule.drifts(rule):
        return int(rule.period.total_seconds())
    return None


def _restarted_anchor(ctx: Context, row: Row[Any], rule: schedule.Schedule) -> Any:
    """Return what an interval counts from after a pause: now, or its grid, which never drifts."""
    return ctx.now if schedule.drifts(rule) else row.anchor_at


async def _reset_clock(ctx: Context, row: Row[Any]) -> None:
    rule = schedule.parse(row.schedule)
    next_due_at = schedule.next_slot(rule, after=ctx.now, anchor=ctx.now)
    await notifications.move(ctx.session, ctx.project_id, row.id, anchor_at=ctx.now, next_due_at=next_due_at)


def _check_content(ctx: Context, content: Mapping[str, Any], rule: schedule.Schedule) -> None:
    """Render the templates once with the real data. Raises InvalidInput."""
    rendering.validate(
        content["title"],
        content["body"],
        content["data"],
        slot=schedule.local(rule, ctx.now),
    )


def _refuse_completed(row: Row[Any], verb: str) -> None:
    if row.completed_at is not None:
        raise Conflict(f"It is completed, there is nothing to {verb}. Give it a new schedule to start again.")


async def _read(ctx: Context, notification_id: UUID) -> Row[Any]:
    row = await notifications.get(ctx.session, ctx.project_id, notification_id)
    if row is None:
        raise NotFound(f"No notification has the id '{notification_id}'.")
    return row


async def _lock(ctx: Context, notification_id: str) -> Row[Any]:
    wanted = parse_id(notification_id, "notification")
    row = await notifications.lock(ctx.session, ctx.project_id, wanted)
    if row is None:
        raise NotFound(f"No notification has the id {notification_id!r}.")
    return row


async def _change(ctx: Context, row: Row[Any], values: Mapping[str, Any]) -> None:
    change = notifications.change(ctx.session, ctx.project_id, row.id, values, changed_by=ctx.caller.name)
    await _write(change, values.get("external_id"))


async def _write(statement: Any, external_id: str | None) -> None:
    try:
        await statement
    except IntegrityError as error:
        if "uq_notifications_external_id" in str(error):
            raise DuplicateExternalId(f"Another notification has the external id {external_id!r}.") from error
        raise
