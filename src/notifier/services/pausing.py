"""Pause and resume."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

from notifier.domain import pause as pauses_domain
from notifier.domain import schedule
from notifier.domain.delivery import Reason
from notifier.domain.errors import InvalidInput
from notifier.services import revisions
from notifier.services.context import Context
from notifier.storage import deliveries, pauses

COLUMNS = {"reason": "pause_reason", "until": "paused_until"}


async def pause(
    ctx: Context, notification_id: str, options: Mapping[str, Any], *, revision: int | None = None
) -> Row[Any]:
    """Stop new slots until it is resumed, or until an instant. What is under way goes on, unless canceled.

    `options` holds what the caller named of `reason`, `until`, `cancel_pending`; pausing again changes these.
    """
    row = await revisions.lock(ctx, notification_id, revision)
    revisions.refuse_completed(row, "pause")
    if options.get("until") is not None and options["until"] <= ctx.now:
        raise InvalidInput.at("/until", "not_in_the_future", "This must lie in the future.")
    values = {COLUMNS[name]: value for name, value in options.items() if name in COLUMNS}
    if row.paused_at is None:
        values |= {"paused_at": ctx.now, "paused_by": ctx.caller.name}
    if any(row._mapping[name] != value for name, value in values.items()):
        await revisions.change(ctx, row, values)
    if options.get("cancel_pending"):
        await deliveries.cancel_unstarted(ctx.session, ctx.project_id, row.id, Reason.PAUSED)
    return await revisions.read(ctx, row.id)


async def resume(
    ctx: Context, notification_id: str, *, catch_up: bool = False, revision: int | None = None
) -> Row[Any]:
    """Go on with the first slot after now: nothing is sent at once, unless `catch_up` asks for the latest."""
    row = await revisions.lock(ctx, notification_id, revision)
    revisions.refuse_completed(row, "resume")
    if row.paused_at is not None or row.blocked_at is not None:
        ended = pauses_domain.resume(
            schedule.parse(row.schedule),
            at=ctx.now,
            anchor_at=row.anchor_at,
            next_due_at=row.next_due_at,
            sent=row.slots_sent,
            catch_up=catch_up,
        )
        await pauses.end(ctx.session, row, ended, changed_by=ctx.caller.name)
    return await revisions.read(ctx, row.id)
