"""Send now, besides the schedule."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from notifier.clock import new_id
from notifier.domain.delivery import Trigger, message_id
from notifier.services import destinations, revisions, timing
from notifier.services.context import Context
from notifier.storage import notifications


async def send_now(ctx: Context, notification_id: str, *, reset_clock: bool) -> list[Row[Any]]:
    """Queue one message per destination at once; the clock stays where it is unless `reset_clock`."""
    row = await revisions.lock(ctx, notification_id)
    shown = await revisions.read(ctx, row.id)
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
        row = await revisions.settle(ctx, row)
        await notifications.move(ctx.session, ctx.project_id, row.id, **timing.restarted(ctx, row))
    return await destinations.queue_deliveries(ctx, rows)
