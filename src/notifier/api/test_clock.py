"""`/v1/test-clock`: run a test project's time forward."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from notifier.api.deps import ApiKey, get_runtime
from notifier.api.problems import documented
from notifier.api.schemas.test_clock import Advance, Advanced, CapturedRead
from notifier.domain.errors import InvalidInput
from notifier.pipeline.rehearsal import Rehearsal
from notifier.services import access

router = APIRouter(
    prefix="/v1/test-clock", tags=["test clock"], responses=documented(400, 401, 403, 409, 422, 503)
)


class _Rehearsal(ApiKey):
    async def __call__(self, request: Request) -> Rehearsal:  # type: ignore[override]
        """Authenticate in a transaction of its own: none may stay open while the clock runs."""
        runtime = await get_runtime(request)
        async with runtime.database.transaction() as session:
            caller, now = await access.authenticate(session, await self.read(request))
            access.require(caller, "write")
            access.require_test_project(session)
        return runtime.rehearsal(caller.project_id, now)


@router.post("/advance")
async def advance(body: Advance, rehearsal: Annotated[Rehearsal, Depends(_Rehearsal())]) -> Advanced:
    """Run the real engine to an instant; messages are captured, nothing leaves. Test projects only."""
    if body.to < rehearsal.now:
        raise InvalidInput.at(
            "/to", "in_the_past", f"The clock stands at {rehearsal.now.isoformat()} already."
        )
    done = await rehearsal.advance(body.to, down=body.down)
    messages = [CapturedRead.model_validate(one) for one in done.messages]
    return Advanced(now=done.now, complete=done.complete, messages=messages)
