"""The ledger, as users ask for it."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from notifier.domain.delivery import Decision, Status
from notifier.domain.errors import Conflict, NotFound
from notifier.jobs import Job
from notifier.services.context import Context, parse_id
from notifier.storage import decisions, deliveries
from notifier.storage.paging import Page
from notifier.storage.tables import LIVE


async def get(ctx: Context, delivery_id: str) -> tuple[Row[Any], Sequence[Row[Any]]]:
    """Return one delivery with its attempts. Raises NotFound."""
    row = await _get(ctx, delivery_id)
    return row, await deliveries.attempts_of(ctx.session, ctx.project_id, row.id)


async def _get(ctx: Context, delivery_id: str) -> Row[Any]:
    row = await deliveries.get(ctx.session, ctx.project_id, parse_id(delivery_id, "delivery"))
    if row is None:
        raise NotFound(f"No delivery has the id {delivery_id!r}.")
    return row


async def resolve(ctx: Context, delivery_id: str, decision: Decision) -> Row[Any]:
    """Settle one `unknown` delivery, or send it again; return it. Raises NotFound, Conflict."""
    row = await _get(ctx, delivery_id)
    decided = await decide_unknown(ctx, decision, filters={"ids": [row.id]})
    after = await _get(ctx, delivery_id)
    if decided:
        return after
    if after.status == Status.UNKNOWN:
        raise Conflict("It cannot be sent again: its notification or its destination was deleted.")
    raise Conflict(f"Only what is `unknown` asks for a decision; it is `{after.status}`.")


async def decide_unknown(ctx: Context, decision: Decision, *, filters: Mapping[str, Any]) -> int:
    """Settle what is `unknown`, or send it again; return how many deliveries that were."""
    rows = await decisions.decide_unknown(ctx.session, ctx.project_id, decision, filters=filters)
    jobs = [Job(ctx.project_id, row.id, row.enqueue_seq) for row in rows]
    if decision is Decision.RETRY and ctx.session.clock.id == LIVE:
        ctx.session.after_commit(lambda: ctx.queue.ring(jobs))
    return len(rows)


async def decide_held(ctx: Context, *, release: bool, filters: Mapping[str, Any]) -> int:
    """Release or skip what is held; return how many deliveries that were."""
    return await decisions.decide_held(ctx.session, ctx.project_id, release=release, filters=filters)


async def page(ctx: Context, *, filters: Mapping[str, Any], after: UUID | None, limit: int) -> Page:
    """Return a page of the ledger, newest first."""
    return await deliveries.page(ctx.session, ctx.project_id, filters=filters, after=after, limit=limit)
