"""Projects and their API keys; for admins."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from notifier.clock import new_id
from notifier.domain.errors import Conflict, FieldProblem, Forbidden, InvalidInput, NotFound
from notifier.services.context import Context, parse_id
from notifier.storage import access, events, recipients
from notifier.storage.paging import Page

KEY_PREFIX = "ntf_"
FIRST_KEY = "first"


def new_key() -> str:
    """Return a fresh random API key."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


async def create(ctx: Context, *, name: str, mode: str) -> tuple[Row[Any], str]:
    """Make a project; return it with its first admin key, which no later call shows. Raises Forbidden."""
    _require_operator(ctx)
    clock_at = ctx.now if mode == "test" else None
    project = await access.add_project(
        ctx.session, {"id": new_id(), "name": name, "mode": mode, "clock_at": clock_at}
    )
    _, key = await _add_key(ctx, project.id, name=FIRST_KEY, scopes=access.ALL_SCOPES)
    return project, key


async def page(ctx: Context, *, after: UUID | None, limit: int) -> Page:
    """Return a page of all projects, newest first. Raises Forbidden."""
    _require_operator(ctx)
    return await access.projects_page(ctx.session, after=after, limit=limit)


async def own(ctx: Context) -> tuple[Row[Any], Sequence[Row[Any]]]:
    """Return the caller's project, and which destinations hear of which events."""
    project = await access.project(ctx.session, ctx.project_id)
    return project, await events.subscriptions(ctx.session, ctx.project_id)


async def change_own(ctx: Context, changes: Mapping[str, Any]) -> tuple[Row[Any], Sequence[Row[Any]]]:
    """Write `name` and `events` of the caller's project, where they are given; return it as `own` does."""
    await access.project(ctx.session, ctx.project_id, lock=True)
    if "name" in changes:
        await access.rename_project(ctx.session, ctx.project_id, changes["name"])
    if "events" in changes:
        await _check_destinations(ctx, [one["destination_id"] for one in changes["events"]])
        await events.subscribe(ctx.session, ctx.project_id, changes["events"])
    return await own(ctx)


async def _check_destinations(ctx: Context, ids: Sequence[UUID]) -> None:
    """Raise InvalidInput for each id that is no destination of the project, or stands there twice."""
    found = {row.id for row in await recipients.find(ctx.session, ctx.project_id, ids=ids)}
    problems = []
    for index, one in enumerate(ids):
        pointer = f"/events/{index}/destination_id"
        if one not in found:
            problems.append(FieldProblem(pointer, "unknown_destination", f"No destination has the id {one}."))
        elif one in ids[:index]:
            problems.append(FieldProblem(pointer, "duplicate", "Give all types of a destination at once."))
    if problems:
        raise InvalidInput(problems)


async def create_key(ctx: Context, *, name: str, scopes: Sequence[str]) -> tuple[Row[Any], str]:
    """Make an API key of the caller's project; return it with its text, which no later call shows."""
    return await _add_key(ctx, ctx.project_id, name=name, scopes=scopes)


async def keys(ctx: Context, *, after: UUID | None, limit: int) -> Page:
    """Return a page of the project's keys, newest first."""
    return await access.keys_page(ctx.session, ctx.project_id, after=after, limit=limit)


async def revoke_key(ctx: Context, key_id: str) -> None:
    """Let a key open nothing any more. Raises NotFound, Conflict for the last admin key of the project."""
    wanted = parse_id(key_id, "key")
    if await access.lock_admin_keys(ctx.session, ctx.project_id) == {wanted}:
        raise Conflict("It is the project's last admin key; make another one first.")
    if not await access.revoke_key(ctx.session, ctx.project_id, wanted):
        raise NotFound(f"No key that opens anything has the id {key_id!r}.")


def _require_operator(ctx: Context) -> None:
    """Raise Forbidden unless the caller runs the service: projects know nothing of one another."""
    if ctx.project_id != access.DEFAULT_PROJECT:
        raise Forbidden("Projects are made and listed with an admin key of the default project.")


async def _add_key(
    ctx: Context, project_id: UUID, *, name: str, scopes: Sequence[str]
) -> tuple[Row[Any], str]:
    key = new_key()
    values = {"project_id": project_id, "id": new_id(), "name": name, "scopes": sorted(set(scopes))}
    row = await access.add_key(ctx.session, values, key)
    if row is None:
        raise Conflict(f"The project has, or had, a key with the name {name!r}.")
    return row, key
