"""`/v1/deliveries`: the ledger."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.status import HTTP_202_ACCEPTED

from notifier.api.deps import PagingDep, Reader, Writer
from notifier.api.idempotency import Answer, OnceDep
from notifier.api.problems import documented
from notifier.api.schemas.common import AwareInstant, Id, StorableText, read_cursor, write_cursor
from notifier.api.schemas.delivery import (
    AttemptRead,
    Decided,
    DeliveryDetail,
    DeliveryPage,
    DeliveryRead,
    HeldDecision,
    Replay,
    ReplayedMany,
    ReplayMany,
    Resolution,
    UnknownDecision,
)
from notifier.domain.delivery import Status
from notifier.services import deliveries, replaying

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
    replay_of: Annotated[Id | None, Query(description="The replays of this delivery.")] = None,
) -> DeliveryPage:
    """List deliveries, newest first: what was sent, what was not, and why."""
    filters = {
        "notification_id": notification_id,
        "destination_id": destination_id,
        "status": status,
        "reason": reason,
        "since": since,
        "until": until,
        "replay_of": replay_of,
    }
    found = await deliveries.page(ctx, filters=filters, after=paging.after, limit=paging.limit)
    items = [DeliveryRead.model_validate(row) for row in found.items]
    return DeliveryPage(items=items, next_cursor=write_cursor(found.next_after))


@router.post("/held")
async def decide_held(body: HeldDecision, ctx: Writer) -> Decided:
    """Release or skip what is held. Released, it goes out now; what a blocked destination holds stays."""
    filters = body.model_dump(exclude={"action"})
    count = await deliveries.decide_held(ctx, release=body.action == "release", filters=filters)
    return Decided(count=count)


@router.post("/unknown")
async def decide_unknown(body: UnknownDecision, ctx: Writer) -> Decided:
    """Settle what is unknown as delivered or failed, or send it again."""
    filters = body.model_dump(exclude={"as_"})
    return Decided(count=await deliveries.decide_unknown(ctx, body.as_, filters=filters))


@router.post("/replay", status_code=HTTP_202_ACCEPTED, response_model=ReplayedMany)
async def replay_many(body: ReplayMany, ctx: Writer, once: OnceDep) -> Response:
    """Send again what the filters name. Oldest first, up to 10,000; safe to repeat."""

    async def work() -> Answer:
        after = read_cursor(body.cursor)
        how = {"as_new": body.as_new, "dry_run": body.dry_run}
        done = await replaying.replay_many(ctx, body.filters, **how, after=after)
        next_cursor = write_cursor(done.next_after)
        return ReplayedMany(count=done.count, left_out=dict(done.left_out), next_cursor=next_cursor), {}

    return await once(HTTP_202_ACCEPTED, work)


@router.get("/{delivery_id}", responses=documented(404))
async def get(delivery_id: str, ctx: Reader) -> DeliveryDetail:
    """Get one delivery with all its attempts."""
    row, tries = await deliveries.get(ctx, delivery_id)
    attempts = [AttemptRead.model_validate(one) for one in tries]
    return DeliveryDetail(**DeliveryRead.model_validate(row).model_dump(), attempts=attempts)


@router.post(
    "/{delivery_id}/replay",
    status_code=HTTP_202_ACCEPTED,
    response_model=DeliveryRead,
    responses=documented(404, 409),
)
async def replay(delivery_id: str, ctx: Writer, once: OnceDep, body: Replay | None = None) -> Response:
    """Send it again. The answer is a delivery of its own; while that is open, others who ask get the same."""

    async def work() -> Answer:
        row = await replaying.replay(ctx, delivery_id, as_new=(body or Replay()).as_new)
        return DeliveryRead.model_validate(row), {}

    return await once(HTTP_202_ACCEPTED, work)


@router.post("/{delivery_id}/resolve", responses=documented(404, 409))
async def resolve(delivery_id: str, body: Resolution, ctx: Writer) -> DeliveryRead:
    """Settle what is unknown as delivered or failed, or send it again."""
    return DeliveryRead.model_validate(await deliveries.resolve(ctx, delivery_id, body.as_))
