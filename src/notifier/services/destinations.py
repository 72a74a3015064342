"""Stored targets: make, find, change, delete, test."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from notifier.channels import signing
from notifier.clock import new_id
from notifier.domain.delivery import Trigger, message_id
from notifier.domain.errors import Conflict, InvalidInput, NotFound
from notifier.jobs import Job
from notifier.services.context import Context, check_revision, parse_id
from notifier.storage import deliveries, destinations, events, waiting
from notifier.storage.health import WELL
from notifier.storage.paging import Page
from notifier.storage.tables import LIVE

MOST_SECRETS = 2
"""A new secret and the one before it, so that receivers can change over without a gap."""

PLAIN = ("name", "retry_schedule", "on_unknown")
"""Fields that are written as they are."""


async def create(
    ctx: Context,
    *,
    kind: str,
    name: str | None,
    config: Mapping[str, Any],
    secret: str | None,
    retry_schedule: Sequence[int] | None = None,
    on_unknown: str = "retry",
) -> tuple[Row[Any], str | None]:
    """Store a destination; return it with its signing secret, which no later call shows.

    `retry_schedule` holds the seconds between its tries; None: as the service does.
    """
    checked = ctx.channels.validate_config(kind, config)
    values, secret = draft(ctx, kind, checked, name=name, secret=_check_secret(ctx, kind, secret))
    values |= {"retry_schedule": retry_schedule, "on_unknown": on_unknown}
    return await destinations.add(ctx.session, values), secret


async def get(ctx: Context, destination_id: str) -> Row[Any]:
    """Return one destination. Raises NotFound."""
    return await _get(ctx, destination_id)


async def page(ctx: Context, *, kind: str | None, after: UUID | None, limit: int) -> Page:
    """Return a page of destinations, newest first."""
    return await destinations.page(ctx.session, ctx.project_id, kind=kind, after=after, limit=limit)


async def update(
    ctx: Context, destination_id: str, changes: Mapping[str, Any], *, revision: int | None
) -> Row[Any]:
    """Write what differs: those of `PLAIN`, `config`, `secret`, `status` (`active` lifts a block)."""
    row = await _get(ctx, destination_id, lock=True)
    check_revision(revision, row.revision)
    stored = row._mapping
    values = {name: changes[name] for name in PLAIN if changes.get(name, stored[name]) != stored[name]}
    if "config" in changes:
        columns = _config_columns(ctx, row.kind, ctx.channels.validate_config(row.kind, changes["config"]))
        values |= {**columns, **WELL} if columns["fingerprint"] != row.fingerprint else {}
    if "secret" in changes:
        values["secrets"] = await _rotated(ctx, row, changes["secret"])
    if changes.get("status") == "active" and row.blocked_at is not None:
        values |= {"blocked_at": None, "blocked_reason": None, **WELL}
        await waiting.release_held(ctx.session, ctx.project_id, row.id)
    if not values:
        return row
    return await destinations.change(ctx.session, ctx.project_id, row.id, values)


async def delete(ctx: Context, destination_id: str, *, revision: int | None) -> None:
    """Delete a destination that no notification uses. Raises Conflict while one does."""
    row = await _get(ctx, destination_id, lock=True)
    check_revision(revision, row.revision)
    users = await destinations.count_users(ctx.session, ctx.project_id, row.id)
    if users:
        raise Conflict(
            f"{users} notification(s) still send to it. Give them another `to` first: "
            f"GET /v1/notifications?destination_id={row.id} lists them."
        )
    if await events.hears(ctx.session, ctx.project_id, row.id):
        raise Conflict(
            "The project's events are sent to it. Give them to another one first: PATCH /v1/project."
        )
    await destinations.change(ctx.session, ctx.project_id, row.id, {"deleted_at": ctx.now})
    await waiting.cancel_for(ctx.session, ctx.project_id, row.id)


async def send_test(ctx: Context, destination_id: str) -> Row[Any]:
    """Queue one real test message, tried once; return its delivery."""
    row = await _get(ctx, destination_id)
    delivery = {
        "project_id": ctx.project_id,
        "id": new_id(),
        "destination_id": row.id,
        "trigger": Trigger.TEST,
        "scheduled_for": ctx.now,
        "message_id": message_id(row.id, row.id, ctx.now),
    }
    return (await queue_deliveries(ctx, [delivery]))[0]


async def queue_deliveries(ctx: Context, rows: Sequence[Mapping[str, Any]]) -> list[Row[Any]]:
    """Store deliveries that are to go out now, and ring for them after the commit."""
    stored = await deliveries.add(ctx.session, rows)
    jobs = [Job(ctx.project_id, row.id, 1) for row in stored]
    if ctx.session.clock.id == LIVE:
        ctx.session.after_commit(lambda: ctx.queue.ring(jobs))
    return stored


def draft(
    ctx: Context, kind: str, config: Mapping[str, Any], *, name: str | None, secret: str | None
) -> tuple[dict[str, Any], str | None]:
    """Return the columns of a new destination, and its signing secret, made if absent."""
    if secret is None and ctx.channels.signs(kind):
        secret = signing.new_secret()
    values = {
        "project_id": ctx.project_id,
        "id": new_id(),
        "kind": kind,
        "name": name or ctx.channels.label(kind, config),
        **_config_columns(ctx, kind, config),
        "secrets": [ctx.cipher.encrypt(secret)] if secret else [],
    }
    return values, secret


def _config_columns(ctx: Context, kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that hold a config: as it may be shown, and sealed where that hides something."""
    shown = ctx.channels.masked(kind, config)
    return {
        "config": shown,
        "sealed_config": ctx.cipher.encrypt(json.dumps(config)) if shown != config else None,
        "fingerprint": ctx.channels.fingerprint(kind, config),
    }


async def _get(ctx: Context, destination_id: str, *, lock: bool = False) -> Row[Any]:
    wanted = parse_id(destination_id, "destination")
    row = await destinations.get(ctx.session, ctx.project_id, wanted, lock=lock)
    if row is None:
        raise NotFound(f"No destination has the id {destination_id!r}.")
    return row


async def _rotated(ctx: Context, row: Row[Any], secret: str) -> list[bytes]:
    """Return the destination's secrets with the new one first and the one before it kept."""
    _check_secret(ctx, row.kind, secret)
    old = await destinations.secrets_of(ctx.session, ctx.project_id, row.id)
    return [ctx.cipher.encrypt(secret), *old][:MOST_SECRETS]


def _check_secret(ctx: Context, kind: str, secret: str | None) -> str | None:
    """Return the secret if a destination of this kind can use it."""
    if secret is None:
        return None
    if not ctx.channels.signs(kind):
        raise InvalidInput.at("/secret", "not_signed", f"Messages to {kind} destinations are not signed.")
    if not signing.is_secret(secret):
        raise InvalidInput.at(
            "/secret", "invalid_secret", "A secret is `whsec_` and 24 to 64 bytes in base64."
        )
    return secret
