"""`/v1/destinations`."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.status import HTTP_201_CREATED, HTTP_202_ACCEPTED, HTTP_204_NO_CONTENT

from notifier.api.deps import IfMatch, PagingDep, Reader, Writer, etag
from notifier.api.idempotency import Answer, OnceDep
from notifier.api.problems import created, documented
from notifier.api.schemas.common import StorableText, write_cursor
from notifier.api.schemas.delivery import DeliveryRead
from notifier.api.schemas.destination import (
    DestinationCreate,
    DestinationCreated,
    DestinationPage,
    DestinationRead,
    DestinationUpdate,
)
from notifier.services import destinations

router = APIRouter(prefix="/v1/destinations", tags=["destinations"], responses=documented(401, 403, 422, 503))


@router.post(
    "",
    status_code=HTTP_201_CREATED,
    response_model=DestinationCreated,
    responses={**created(), **documented(409)},
)
async def create(body: DestinationCreate, ctx: Writer, once: OnceDep) -> Response:
    """Add a destination. The answer to a webhook holds its signing secret: keep it, it is not shown again."""

    async def work() -> Answer:
        row, secret = await destinations.create(
            ctx,
            kind=body.kind,
            name=body.name,
            config=body.config,
            secret=body.secret,
            retry_schedule=body.retry.schedule if body.retry else None,
            on_unknown=body.on_unknown,
        )
        read = DestinationCreated(**DestinationRead.of(row).model_dump(), secret=secret)
        return read, {**etag(row.revision), "Location": f"/v1/destinations/{row.id}"}

    return await once(HTTP_201_CREATED, work)


@router.get("")
async def page(
    ctx: Reader, paging: PagingDep, kind: Annotated[StorableText | None, Query(max_length=50)] = None
) -> DestinationPage:
    """List destinations, newest first."""
    found = await destinations.page(ctx, kind=kind, after=paging.after, limit=paging.limit)
    items = [DestinationRead.of(row) for row in found.items]
    return DestinationPage(items=items, next_cursor=write_cursor(found.next_after))


@router.get("/{destination_id}", responses=documented(404))
async def get(destination_id: str, ctx: Reader, response: Response) -> DestinationRead:
    """Get one destination; its secret is never shown again."""
    row = await destinations.get(ctx, destination_id)
    response.headers.update(etag(row.revision))
    return DestinationRead.of(row)


@router.patch("/{destination_id}", responses=documented(404, 412))
async def update(
    destination_id: str, body: DestinationUpdate, ctx: Writer, revision: IfMatch, response: Response
) -> DestinationRead:
    """Change the fields given."""
    row = await destinations.update(ctx, destination_id, body.changes(), revision=revision)
    response.headers.update(etag(row.revision))
    return DestinationRead.of(row)


@router.delete("/{destination_id}", status_code=HTTP_204_NO_CONTENT, responses=documented(404, 409, 412))
async def delete(destination_id: str, ctx: Writer, revision: IfMatch) -> None:
    """Delete a destination that no notification sends to any more."""
    await destinations.delete(ctx, destination_id, revision=revision)


@router.post(
    "/{destination_id}/test",
    status_code=HTTP_202_ACCEPTED,
    response_model=DeliveryRead,
    responses=documented(404, 409),
)
async def send_test(destination_id: str, ctx: Writer, once: OnceDep) -> Response:
    """Send one real test message, tried once; `GET /v1/deliveries/{id}` tells how it went."""

    async def work() -> Answer:
        return DeliveryRead.model_validate(await destinations.send_test(ctx, destination_id)), {}

    return await once(HTTP_202_ACCEPTED, work)
