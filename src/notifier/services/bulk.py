"""Many new notifications with one call: each succeeds or fails as if it had been sent alone."""

from collections.abc import Iterable, Mapping
from typing import Any

from notifier.domain.errors import InvalidInput, NotifierError
from notifier.services import creation, recipients, revisions
from notifier.services.context import Context
from notifier.services.creation import Prepared, Saved
from notifier.services.recipients import Directory, Item
from notifier.services.turns import Turns
from notifier.storage import additions


async def create_all(
    ctx: Context, drafts: Mapping[int, Mapping[str, Any]]
) -> dict[int, Saved | NotifierError]:
    """Store those of the drafts that are good; return what became of each, under its number.

    What comes of equal external ids is as if the drafts came one after the other.
    """
    prepared, failed = await _prepare(ctx, drafts)
    directory = await recipients.look_up(ctx, _items(prepared.values()))
    _refuse(failed, prepared, _wrong_recipients(prepared, directory))
    _refuse(failed, prepared, await _taken(ctx, prepared))
    await recipients.make_missing(ctx, directory, _items(prepared.values()))
    rows = await creation.store(ctx, list(prepared.values()), directory) if prepared else {}
    # taken by somebody else just now; destinations that were made for it stay
    late = {n: revisions.taken(one.external_id) for n, one in prepared.items() if one.id not in rows}
    _refuse(failed, prepared, late)
    return {**failed, **{n: one.saved(ctx, rows[one.id], directory) for n, one in prepared.items()}}


async def _prepare(
    ctx: Context, drafts: Mapping[int, Mapping[str, Any]]
) -> tuple[dict[int, Prepared], dict[int, NotifierError]]:
    prepare, turns = creation.Preparation(ctx), Turns(ctx.session)
    prepared: dict[int, Prepared] = {}
    failed: dict[int, NotifierError] = {}
    for number, draft in drafts.items():
        try:
            prepared[number] = prepare(draft)
        except InvalidInput as error:
            failed[number] = error
        await turns.pass_on()
    return prepared, failed


def _items(prepared: Iterable[Prepared]) -> list[Item]:
    return [item for one in prepared for item in one.items]


def _refuse(
    failed: dict[int, NotifierError], prepared: dict[int, Prepared], errors: Mapping[int, NotifierError]
) -> None:
    """Move what is in error from `prepared` to `failed`."""
    for number in errors:
        del prepared[number]
    failed.update(errors)


def _wrong_recipients(prepared: Mapping[int, Prepared], directory: Directory) -> dict[int, NotifierError]:
    errors: dict[int, NotifierError] = {}
    for number, one in prepared.items():
        try:
            directory.check(one.items)
        except InvalidInput as error:
            errors[number] = error
    return errors


async def _taken(ctx: Context, prepared: Mapping[int, Prepared]) -> dict[int, NotifierError]:
    """Return errors for external ids that there are, or that an earlier one of these has."""
    given = {one.external_id for one in prepared.values() if one.external_id is not None}
    seen = await additions.taken(ctx.session, ctx.project_id, given) if given else set()
    errors: dict[int, NotifierError] = {}
    for number, one in prepared.items():
        if one.external_id in seen:
            errors[number] = revisions.taken(one.external_id)
        elif one.external_id is not None:
            seen.add(one.external_id)
    return errors
