"""Send again what has ended: each replay is a row of its own, what it repeats stays as it is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from notifier.clock import new_id
from notifier.domain.delivery import Status, message_id
from notifier.domain.errors import Conflict, NotFound
from notifier.jobs import Job
from notifier.services.context import Context, parse_id
from notifier.storage import deliveries, replays
from notifier.storage.replays import Replay
from notifier.storage.tables import LIVE

MOST = 10_000
"""Deliveries that one call looks at."""

BARS = {
    "not_ended": "Only what has ended is sent again; it is {status}.",
    "no_notification": "Test messages and events are not sent again.",
    "undecided": "Nobody knows whether it arrived: decide with `POST /v1/deliveries/.../resolve`.",
    "range": "It stands for several slots; a replay sends one. Or `POST /v1/notifications/.../send`.",
    "notification_deleted": "Its notification was deleted.",
    "destination_deleted": "Its destination was deleted.",
}
"""Why a delivery is not sent again."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many replays were made, why others were left out, and the id after which the next call goes on."""

    count: int
    left_out: Mapping[str, int]
    next_after: UUID | None


async def replay(ctx: Context, delivery_id: str, *, as_new: bool) -> Row[Any]:
    """Queue one delivery again and return the replay; while one is open, or was just made, return that one.

    Raises NotFound, Conflict.
    """
    wanted = parse_id(delivery_id, "delivery")
    found = await _candidates(ctx, {"ids": [wanted]}, after=None, most=1)
    if not found:
        raise NotFound(f"No delivery has the id {delivery_id!r}.")
    one = found[0]
    bar = _bar(one, await _targets(ctx, found))
    if bar is not None:
        raise Conflict(BARS[bar].format(status=one.status))
    replayed = (await _newest(ctx, found)).get(one.original)
    replay_id = (replayed and replayed.young) or (await _queue(ctx, [one], as_new=as_new))[0]
    row = await deliveries.get(ctx.session, ctx.project_id, replay_id)
    if row is None:
        # it was so old that it was deleted in this very moment
        raise NotFound(f"No delivery has the id {delivery_id!r} any more.")
    return row


async def replay_many(
    ctx: Context, filters: Mapping[str, Any], *, as_new: bool, dry_run: bool, after: UUID | None
) -> Replayed:
    """Queue again what `filters` name, oldest first, 10,000 at a time; with `dry_run` only count.

    Left out is what cannot be sent again, what has an open replay, and, unless it is named by its id, what
    a replay has brought since.
    """
    by_id = filters.get("ids") is not None
    found = await _candidates(ctx, _meant(filters), after=after, most=MOST + 1)
    page, more = found[:MOST], len(found) > MOST
    fates = _fates(page, await _targets(ctx, page), await _newest(ctx, page), by_id=by_id)
    chosen = [row for row in page if fates[row.id] is None]
    if chosen and not dry_run:
        await _queue(ctx, chosen, as_new=as_new)
    left_out = Counter(fate for fate in fates.values() if fate is not None)
    if by_id and after is None:
        left_out["not_found"] = len(set(filters["ids"])) - len(found)
    return Replayed(len(chosen), +left_out, page[-1].id if more else None)


def _meant(filters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the filters with `failed`, where neither ids, nor a status, nor a reason are named."""
    if any(filters.get(name) is not None for name in ("ids", "status", "reason")):
        return filters
    return {**filters, "status": Status.FAILED}


async def _candidates(
    ctx: Context, filters: Mapping[str, Any], *, after: UUID | None, most: int
) -> Sequence[Row[Any]]:
    await replays.serialize(ctx.session, ctx.project_id)
    return await replays.candidates(ctx.session, ctx.project_id, filters, after=after, most=most)


async def _targets(ctx: Context, rows: Sequence[Row[Any]]) -> set[UUID]:
    ids = {row.destination_id for row in rows}
    return await replays.lock_targets(ctx.session, ctx.project_id, list(ids))


async def _newest(ctx: Context, rows: Sequence[Row[Any]]) -> dict[UUID, Row[Any]]:
    return await replays.newest(ctx.session, ctx.project_id, [row.original for row in rows])


def _fates(
    rows: Sequence[Row[Any]], targets: set[UUID], newest: Mapping[UUID, Row[Any]], *, by_id: bool
) -> dict[UUID, str | None]:
    """Return why each row is left out, None where it is sent again: of one message's rows, only the first."""
    fates: dict[UUID, str | None] = {}
    chosen: set[UUID] = set()
    for row in rows:
        needless = "under_way" if row.original in chosen else _needless(row, newest, by_id=by_id)
        fates[row.id] = _bar(row, targets) or needless
        if fates[row.id] is None:
            chosen.add(row.original)
    return fates


def _bar(row: Row[Any], targets: set[UUID]) -> str | None:
    bar: str | None = row.bar
    return bar or (None if row.destination_id in targets else "destination_deleted")


def _needless(row: Row[Any], newest: Mapping[UUID, Row[Any]], *, by_id: bool) -> str | None:
    replayed = newest.get(row.original)
    if replayed is None:
        return None
    if replayed.young is not None:
        return "under_way"
    return "delivered_since" if replayed.arrived and row.status != Status.DELIVERED and not by_id else None


async def _queue(ctx: Context, rows: Sequence[Row[Any]], *, as_new: bool) -> list[UUID]:
    """Write the replays, ring for them after the commit, and return their ids."""
    made = [_replay(row, as_new=as_new) for row in rows]
    waiting = await replays.add(ctx.session, ctx.project_id, made)
    jobs = [Job(ctx.project_id, one, 1) for one in waiting]
    if jobs and ctx.session.clock.id == LIVE:
        ctx.session.after_commit(lambda: ctx.queue.ring(jobs))
    return [one.id for one in made]


def _replay(row: Row[Any], *, as_new: bool) -> Replay:
    slot: datetime = row.scheduled_for
    replay_id = new_id()
    return Replay(replay_id, row.id, message_id(replay_id, row.destination_id, slot) if as_new else None)
