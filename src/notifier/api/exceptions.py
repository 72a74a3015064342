"""`/v1/notifications/{id}/upcoming` and `/exceptions`: the coming slots, and what is done with one."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from notifier.api.deps import KnownParameters, Reader, Writer
from notifier.api.idempotency import Answer, OnceDep
from notifier.api.problems import documented
from notifier.api.schemas.exception import ExceptionCreate, ExceptionList, ExceptionRead
from notifier.api.schemas.preview import SlotRead, UpcomingRead
from notifier.services import exceptions, upcoming

router = APIRouter(
    prefix="/v1/notifications/{notification_id}",
    tags=["notifications"],
    responses=documented(400, 401, 403, 404, 422, 503),
)


@router.get("/upcoming", dependencies=[KnownParameters])
async def upcoming_slots(
    notification_id: str, ctx: Reader, count: Annotated[int, Query(ge=1, le=1000)] = 10
) -> UpcomingRead:
    """List the next slots, with what is special about them. None while it is paused or blocked."""
    found = await upcoming.of_notification(ctx, notification_id, count=count)
    return UpcomingRead(slots=[SlotRead.model_validate(slot) for slot in found])


@router.get("/exceptions", dependencies=[KnownParameters])
async def list_exceptions(notification_id: str, ctx: Reader) -> ExceptionList:
    """List the exceptions of coming slots, first slot first. Those of the past stand in the ledger."""
    rows = await exceptions.page(ctx, notification_id)
    return ExceptionList(items=[ExceptionRead.model_validate(row) for row in rows])


@router.post(
    "/exceptions", status_code=HTTP_201_CREATED, response_model=ExceptionRead, responses=documented(409)
)
async def create_exception(
    notification_id: str, body: ExceptionCreate, ctx: Writer, once: OnceDep
) -> Response:
    """Change one coming slot: skip it, move it or give it other words. The rule stays as it is."""

    async def work() -> Answer:
        row = await exceptions.create(ctx, notification_id, body.model_dump())
        return ExceptionRead.model_validate(row), {}

    return await once(HTTP_201_CREATED, work)


@router.delete("/exceptions/{exception_id}", status_code=HTTP_204_NO_CONTENT, responses=documented(409))
async def delete_exception(notification_id: str, exception_id: str, ctx: Writer) -> None:
    """Undo an exception, until its slot is taken up."""
    await exceptions.delete(ctx, notification_id, exception_id)
