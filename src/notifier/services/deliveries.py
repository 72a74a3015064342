"""The ledger, as users ask for it."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from notifier.domain.errors import NotFound
from notifier.services.context import Context, parse_id
from notifier.storage import deliveries
from notifier.storage.paging import Page


async def get(ctx: Context, delivery_id: str) -> tuple[Row[Any], Sequence[Row[Any]]]:
    """Return one delivery with its attempts. Raises NotFound."""
    wanted = parse_id(delivery_id, "delivery")
    row = await deliveries.get(ctx.session, ctx.project_id, wanted)
    if row is None:
        raise NotFound(f"No delivery has the id {delivery_id!r}.")
    return row, await deliveries.attempts_of(ctx.session, ctx.project_id, wanted)


async def decide_held(ctx: Context, *, release: bool, filters: Mapping[str, Any]) -> int:
    """Release or skip what is held; return how many deliveries that were."""
    return await deliveries.decide_held(ctx.session, ctx.project_id, release=release, filters=filters)


async def page(ctx: Context, *, filters: Mapping[str, Any], after: UUID | None, limit: int) -> Page:
    """Return a page of the ledger, newest first."""
    return await deliveries.page(ctx.session, ctx.project_id, filters=filters, after=after, limit=limit)
