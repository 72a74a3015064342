"""`/v1/schedules`: try a schedule before it is saved."""

from fastapi import APIRouter

from notifier.api.deps import Reader
from notifier.api.problems import documented
from notifier.api.schemas.preview import PreviewRead, PreviewRequest
from notifier.services import schedules

router = APIRouter(prefix="/v1/schedules", tags=["schedules"], responses=documented(401, 403, 422, 503))


@router.post("/preview")
async def preview(body: PreviewRequest, ctx: Reader) -> PreviewRead:
    """Show what a schedule would do: its slots, the changes of the clocks that touch it, warnings."""
    found = schedules.preview(body.schedule, start=body.start or ctx.now, count=body.count)
    return PreviewRead.model_validate(found)
