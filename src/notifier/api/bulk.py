"""`/v1/notifications/bulk`: many new notifications with one call."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from pydantic import ValidationError
from starlette.status import HTTP_200_OK, HTTP_201_CREATED

from notifier.api.deps import Writer
from notifier.api.idempotency import Answer, OnceDep
from notifier.api.problems import documented, of_invalid, of_known
from notifier.api.schemas.bulk import BulkCreate, BulkCreated, BulkItem
from notifier.api.schemas.notification import NotificationCreate, NotificationSaved
from notifier.api.schemas.problem import Problem
from notifier.domain.errors import InvalidInput, NotifierError
from notifier.services import bulk
from notifier.services.context import Context
from notifier.services.creation import Saved
from notifier.services.turns import Turns

router = APIRouter(
    prefix="/v1/notifications", tags=["notifications"], responses=documented(401, 403, 422, 503)
)

MINIMAL = "return=minimal"
Prefer = Annotated[
    str | None,
    Header(description="`return=minimal`: only the ids of what was made, which is shorter and quicker."),
]
Problems = dict[int, dict[str, Any]]


@router.post("/bulk", response_model=BulkCreated, responses=documented(409))
async def create_bulk(
    body: BulkCreate, ctx: Writer, once: OnceDep, request: Request, prefer: Prefer = None
) -> Response:
    """Add up to 1,000 notifications. Each succeeds or fails as if alone; the answer says which did."""
    path = request.url.path
    short = prefer is not None and MINIMAL in prefer.replace(" ", "").lower().split(",")

    async def work() -> Answer:
        drafts, problems = await _read(ctx, body.items, path)
        made = await bulk.create_all(ctx, drafts)
        problems |= {n: of_known(one, path) for n, one in made.items() if isinstance(one, NotifierError)}
        return await _answer(ctx, made, problems, short=short), {}

    return await once(HTTP_200_OK, work)


async def _read(ctx: Context, items: list[Any], path: str) -> tuple[dict[int, dict[str, Any]], Problems]:
    """Return the bodies that have the shape of one, and the problems of the others, by their place."""
    turns = Turns(ctx.session)
    drafts: dict[int, dict[str, Any]] = {}
    problems: Problems = {}
    for index, item in enumerate(items):
        try:
            # as FastAPI reads a body
            drafts[index] = NotificationCreate.model_validate(item, from_attributes=True).model_dump()
        except ValidationError as error:
            problems[index] = of_invalid(error.errors(), path)
        except InvalidInput as error:
            problems[index] = of_known(error, path)
        await turns.pass_on()
    return drafts, problems


async def _answer(
    ctx: Context, made: Mapping[int, Saved | NotifierError], problems: Problems, *, short: bool
) -> BulkCreated:
    turns = Turns(ctx.session)
    items: list[BulkItem] = []
    for index in sorted(made.keys() | problems.keys()):
        problem = problems.get(index)
        items.append(_made(index, made[index], short=short) if problem is None else _failed(index, problem))
        await turns.pass_on()
    return BulkCreated(items=items, created=len(items) - len(problems), failed=len(problems))


def _made(index: int, saved: Any, *, short: bool) -> BulkItem:
    if short:
        return BulkItem(index=index, status=HTTP_201_CREATED, id=saved.row.id)
    return BulkItem(index=index, status=HTTP_201_CREATED, notification=NotificationSaved.of_saved(saved))


def _failed(index: int, problem: dict[str, Any]) -> BulkItem:
    return BulkItem(index=index, status=problem["status"], problem=Problem(**problem))
