"""Reading and writing one notification: found in the caller's project, changed as its next revision."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError

from notifier.domain.errors import Conflict, DuplicateExternalId, NotFound
from notifier.services.context import Context, check_revision, parse_id
from notifier.storage import notifications


async def read(ctx: Context, notification_id: UUID) -> Row[Any]:
    """Return a notification with its destinations. Raises NotFound."""
    row = await notifications.get(ctx.session, ctx.project_id, notification_id)
    if row is None:
        raise await _not_found(ctx, notification_id)
    return row


async def lock(ctx: Context, notification_id: str, revision: int | None = None) -> Row[Any]:
    """Return a notification, locked for a change. Raises NotFound, PreconditionFailed."""
    wanted = parse_id(notification_id, "notification")
    row = await notifications.lock(ctx.session, ctx.project_id, wanted)
    if row is None:
        raise await _not_found(ctx, wanted)
    check_revision(revision, row.revision)
    return row


async def _not_found(ctx: Context, notification_id: UUID) -> NotFound:
    gone_at = await notifications.deleted_at(ctx.session, ctx.project_id, notification_id)
    if gone_at is None:
        return NotFound(f"No notification has the id '{notification_id}'.")
    return NotFound(f"The notification '{notification_id}' was deleted at {gone_at:%Y-%m-%dT%H:%M:%SZ}.")


async def lock_deleted(ctx: Context, notification_id: str) -> Row[Any] | None:
    """Return what is left of a deleted notification, locked for a change, if it is one."""
    wanted = parse_id(notification_id, "notification")
    return await notifications.lock(ctx.session, ctx.project_id, wanted, deleted=True)


async def settle(ctx: Context, row: Row[Any]) -> Row[Any]:
    """Write what has come due of a locked notification before its clock is set anew; return it afresh."""
    if row.next_due_at is None or row.next_due_at > row.now:
        return row
    await ctx.settle(ctx.session, ctx.project_id, row.id)
    return await lock(ctx, str(row.id))


def refuse_completed(row: Row[Any], verb: str) -> None:
    """Raise Conflict if there is nothing left to be due."""
    if row.completed_at is not None:
        raise Conflict(f"It is completed, there is nothing to {verb}. Give it a new schedule to start again.")


async def change(ctx: Context, row: Row[Any], values: Mapping[str, Any]) -> None:
    """Write `values` as the next revision. Raises DuplicateExternalId."""
    try:
        await notifications.change(ctx.session, ctx.project_id, row.id, values, changed_by=ctx.caller.name)
    except IntegrityError as error:
        if "uq_notifications_external_id" in str(error):
            raise taken(values["external_id"]) from error
        raise


def taken(external_id: str | None) -> DuplicateExternalId:
    """Return the error for an external id that another notification has."""
    return DuplicateExternalId(f"Another notification has the external id {external_id!r}.")
