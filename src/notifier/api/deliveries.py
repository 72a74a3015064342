"""`/v1/deliveries`: the ledger."""

from typing import Annotated

from fastapi import APIRouter, Query

from notifier.api.deps import PagingDep, Reader, Writer
from notifier.api.problems import documented
from notifier.api.schemas.common import AwareInstant, Id, StorableText, write_cursor
from notifier.api.schemas.delivery import (
    AttemptRead,
    DeliveryDetail,
    DeliveryPage,
    DeliveryRead,
    HeldDecided,
    HeldDecision,
)
from notifier.domain.delivery import Status
from notifier.services import deliveries

router = APIRouter(prefix="/v1/deliveries", tags=["deliveries"], responses=documented(401, 403, 422, 503))


@router.get("")
async def page(
    ctx: Reader,
    paging: PagingDep,
    notification_id: Id | None = None,
    destination_id: Id | None = None,
    status: Status | None = None,
    reason: Annotated[StorableText | None, Query(max_length=50)] = None,
    since: Annotated[AwareInstant | None, Query(description="Slots from this instant on.")] = None,
    until: Annotated[AwareInstant | None, Query(description="Slots up to this instant.")] = None,
) -> DeliveryPage:
    """List deliveries, newest first: what was sent, what was not, and why."""
    filters = {
        "notification_id": notification_id,
        "destination_id": destination_id,
        "status": status,
        "reason": reason,
        "since": since,
        "until": until,
    }
    found = await deliveries.page(ctx, filters=filters, after=paging.after, limit=paging.limit)
    items = [DeliveryRead.model_validate(row) for row in found.items]
    return DeliveryPage(items=items, next_cursor=write_cursor(found.next_after))


@router.post("/held")
async def decide_held(body: HeldDecision, ctx: Writer) -> HeldDecided:
    """Release or skip what is held. Released, it goes out now; what a blocked destination holds stays."""
    filters = body.model_dump(exclude={"action"})
    count = await deliveries.decide_held(ctx, release=body.action == "release", filters=filters)
    return HeldDecided(count=count)


@router.get("/{delivery_id}", responses=documented(404))
async def get(delivery_id: str, ctx: Reader) -> DeliveryDetail:
    """Get one delivery with all its attempts."""
    row, tries = await deliveries.get(ctx, delivery_id)
    attempts = [AttemptRead.model_validate(one) for one in tries]
    return DeliveryDetail(**DeliveryRead.model_validate(row).model_dump(), attempts=attempts)
