"""`/v1/projects`, `/v1/project` (one's own) and `/v1/keys`: for admins."""

from fastapi import APIRouter, Response
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from notifier.api.deps import Admin, PagingDep, Reader
from notifier.api.idempotency import Answer, OnceDep
from notifier.api.problems import documented
from notifier.api.schemas.common import write_cursor
from notifier.api.schemas.project import (
    KeyCreate,
    KeyCreated,
    KeyPage,
    KeyRead,
    OwnProject,
    OwnProjectUpdate,
    ProjectCreate,
    ProjectCreated,
    ProjectPage,
    ProjectRead,
)
from notifier.services import projects

router = APIRouter(prefix="/v1", tags=["admin"], responses=documented(400, 401, 403, 422, 503))


@router.post(
    "/projects", status_code=HTTP_201_CREATED, response_model=ProjectCreated, responses=documented(409)
)
async def create_project(body: ProjectCreate, ctx: Admin, once: OnceDep) -> Response:
    """Make a project. The answer holds its first admin key: keep it, it is not shown again."""

    async def work() -> Answer:
        row, key = await projects.create(ctx, name=body.name, mode=body.mode)
        return ProjectCreated(**ProjectRead.model_validate(row).model_dump(), api_key=key), {}

    return await once(HTTP_201_CREATED, work)


@router.get("/projects")
async def list_projects(ctx: Admin, paging: PagingDep) -> ProjectPage:
    """List all projects, newest first."""
    found = await projects.page(ctx, after=paging.after, limit=paging.limit)
    items = [ProjectRead.model_validate(row) for row in found.items]
    return ProjectPage(items=items, next_cursor=write_cursor(found.next_after))


@router.get("/project")
async def get_own_project(ctx: Reader) -> OwnProject:
    """Get the project that your key belongs to."""
    return OwnProject.of(*await projects.own(ctx))


@router.patch("/project")
async def update_own_project(body: OwnProjectUpdate, ctx: Admin) -> OwnProject:
    """Change the fields given: the name, and who is sent which events."""
    return OwnProject.of(*await projects.change_own(ctx, body.changes()))


@router.post("/keys", status_code=HTTP_201_CREATED, response_model=KeyCreated, responses=documented(409))
async def create_key(body: KeyCreate, ctx: Admin, once: OnceDep) -> Response:
    """Make an API key of your project. The answer holds it: keep it, it is not shown again."""

    async def work() -> Answer:
        row, key = await projects.create_key(ctx, name=body.name, scopes=body.scopes)
        return KeyCreated(**KeyRead.model_validate(row).model_dump(), key=key), {}

    return await once(HTTP_201_CREATED, work)


@router.get("/keys")
async def list_keys(ctx: Admin, paging: PagingDep) -> KeyPage:
    """List the keys of your project, newest first."""
    found = await projects.keys(ctx, after=paging.after, limit=paging.limit)
    items = [KeyRead.model_validate(row) for row in found.items]
    return KeyPage(items=items, next_cursor=write_cursor(found.next_after))


@router.delete("/keys/{key_id}", status_code=HTTP_204_NO_CONTENT, responses=documented(404))
async def revoke_key(key_id: str, ctx: Admin) -> None:
    """Revoke a key: it opens nothing from here on."""
    await projects.revoke_key(ctx, key_id)
