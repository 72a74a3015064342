"""`/v1/notifications`."""

from typing import Annotated

from fastapi import APIRouter, Body, Query, Response
from starlette.responses import JSONResponse
from starlette.status import HTTP_200_OK, HTTP_201_CREATED, HTTP_202_ACCEPTED, HTTP_204_NO_CONTENT

from notifier.api import paths  # noqa: F401 - names `any_text`
from notifier.api.answers import UNCHANGED, IfNoneMatch, answer, answer_unless_known
from notifier.api.deps import IfMatch, PagingDep, Reader, Writer, etag
from notifier.api.idempotency import Answer, OnceDep
from notifier.api.problems import created, documented
from notifier.api.schemas.common import AwareInstant, Id, StorableText, write_cursor
from notifier.api.schemas.delivery import DeliveriesQueued, DeliveryRead
from notifier.api.schemas.examples import CREATE_EXAMPLES
from notifier.api.schemas.notification import (
    ExternalIdPath,
    NotificationCreate,
    NotificationPage,
    NotificationPut,
    NotificationRead,
    NotificationSaved,
    NotificationUpdate,
    Pause,
    Resume,
    SendNow,
    Status,
)
from notifier.services import notifications, pausing, sending
from notifier.services.creation import Saved

router = APIRouter(
    prefix="/v1/notifications", tags=["notifications"], responses=documented(401, 403, 422, 503)
)

NotificationDraft = Annotated[NotificationCreate, Body(openapi_examples=CREATE_EXAMPLES)]


# Routes are tried in their order: those that are asked most stand first.


def _answer(saved: Saved) -> Answer:
    read = NotificationSaved.of_saved(saved)
    return read, {**etag(read.revision), "Location": f"/v1/notifications/{read.id}"}


@router.post(
    "",
    status_code=HTTP_201_CREATED,
    response_model=NotificationSaved,
    responses={**created(), **documented(409)},
)
async def create(body: NotificationDraft, ctx: Writer, once: OnceDep) -> Response:
    """Add a notification. It is first due one period from now, or at `start_at`."""

    async def work() -> Answer:
        return _answer(await notifications.create(ctx, body.model_dump()))

    return await once(HTTP_201_CREATED, work)


@router.get("", response_model=NotificationPage)
async def page(
    ctx: Reader,
    paging: PagingDep,
    status: Status | None = None,
    kind: Annotated[StorableText | None, Query(max_length=50, description="Kind of schedule.")] = None,
    destination_id: Id | None = None,
    q: Annotated[StorableText | None, Query(max_length=200, description="Part of the title.")] = None,
    due_before: Annotated[
        AwareInstant | None,
        Query(description="A slot before this instant, even one for which nothing will be sent."),
    ] = None,
) -> Response:
    """List notifications, newest first."""
    filters = {
        "status": status,
        "kind": kind,
        "destination_id": destination_id,
        "q": q,
        "due_before": due_before,
    }
    found = await notifications.page(ctx, filters=filters, after=paging.after, limit=paging.limit)
    items = [NotificationRead.of(row) for row in found.items]
    return answer(NotificationPage(items=items, next_cursor=write_cursor(found.next_after)))


@router.get("/{notification_id}", response_model=NotificationRead, responses={**UNCHANGED, **documented(404)})
async def get(notification_id: str, ctx: Reader, known: IfNoneMatch = None) -> Response:
    """Get one notification."""
    row = await notifications.get(ctx, notification_id)
    return answer_unless_known(NotificationRead.of(row), row.revision, known)


@router.get(
    "/by-external-id/{external_id:any_text}",
    response_model=NotificationRead,
    responses={**UNCHANGED, **documented(404)},
)
async def get_by_external_id(external_id: ExternalIdPath, ctx: Reader, known: IfNoneMatch = None) -> Response:
    """Get the notification with this external id."""
    row = await notifications.get_by_external_id(ctx, external_id)
    return answer_unless_known(NotificationRead.of(row), row.revision, known)


@router.put(
    "/by-external-id/{external_id:any_text}",
    response_model=NotificationSaved,
    responses={201: {"model": NotificationSaved, **created()[201]}, **documented(409, 412)},
)
async def put(
    external_id: ExternalIdPath, body: NotificationPut, ctx: Writer, revision: IfMatch
) -> JSONResponse:
    """Create or replace the notification with this external id, as a whole; a pause stays as it is."""
    saved = await notifications.put(ctx, external_id, body.model_dump(), revision=revision)
    read, headers = _answer(saved)
    status = HTTP_201_CREATED if saved.created else HTTP_200_OK
    return JSONResponse(read.model_dump(mode="json"), status, headers)


@router.patch("/{notification_id}", responses=documented(404, 409, 412))
async def update(
    notification_id: str, body: NotificationUpdate, ctx: Writer, revision: IfMatch, response: Response
) -> NotificationSaved:
    """Change the fields given. A changed schedule is due afresh, counted from now."""
    saved = await notifications.update(ctx, notification_id, body.changes(), revision=revision)
    response.headers.update(etag(saved.row.revision))
    return NotificationSaved.of_saved(saved)


@router.delete("/{notification_id}", status_code=HTTP_204_NO_CONTENT, responses=documented(404, 412))
async def delete(
    notification_id: str,
    ctx: Writer,
    revision: IfMatch,
    purge: Annotated[
        bool,
        Query(
            description="Erase its content too, also of one that was deleted before. Answers that were kept, "
            "encrypted, under an `Idempotency-Key` go within 24 hours."
        ),
    ] = False,
) -> None:
    """Delete it: nothing more is sent, its ledger is kept, its external id is free again."""
    await notifications.delete(ctx, notification_id, revision=revision, purge=purge)


@router.post("/{notification_id}/pause", responses=documented(404, 409, 412))
async def pause(
    notification_id: str, ctx: Writer, revision: IfMatch, response: Response, body: Pause | None = None
) -> NotificationRead:
    """Pause it. What is under way goes on, unless canceled; nothing new becomes due."""
    options = (body or Pause()).model_dump(exclude_unset=True)
    row = await pausing.pause(ctx, notification_id, options, revision=revision)
    response.headers.update(etag(row.revision))
    return NotificationRead.of(row)


@router.post("/{notification_id}/resume", responses=documented(404, 409, 412))
async def resume(
    notification_id: str, ctx: Writer, revision: IfMatch, response: Response, body: Resume | None = None
) -> NotificationRead:
    """Resume it with the first slot after now; nothing is sent at once for the time it was paused."""
    options = (body or Resume()).model_dump()
    row = await pausing.resume(ctx, notification_id, **options, revision=revision)
    response.headers.update(etag(row.revision))
    return NotificationRead.of(row)


@router.post(
    "/{notification_id}/send",
    status_code=HTTP_202_ACCEPTED,
    response_model=DeliveriesQueued,
    responses=documented(404, 409),
)
async def send(notification_id: str, ctx: Writer, once: OnceDep, body: SendNow | None = None) -> Response:
    """Send it now, besides its schedule."""

    async def work() -> Answer:
        options = (body or SendNow()).model_dump()
        rows = await sending.send_now(ctx, notification_id, **options)
        return DeliveriesQueued(deliveries=[DeliveryRead.model_validate(row) for row in rows]), {}

    return await once(HTTP_202_ACCEPTED, work)
