"""A new notification: all of it is worked out before anything is stored, so many can be stored at once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from notifier import rendering
from notifier.clock import new_id
from notifier.domain import schedule
from notifier.domain.errors import InvalidInput
from notifier.domain.schedule import Note, Schedule, Transition
from notifier.services import recipients, timing
from notifier.services.context import Context
from notifier.services.recipients import Directory, Item
from notifier.storage import additions

DEFAULT_TO = ("log:",)
CONTENT = ("external_id", "title", "body", "data")


@dataclass(frozen=True, slots=True)
class Saved:
    """A stored notification, and what only this answer tells.

    `secrets` are those of destinations made for it, by id. `transitions` are about a schedule that was just
    given, `warnings` about a schedule or destinations that were.
    """

    row: Row[Any]
    secrets: Mapping[UUID, str]
    transitions: Sequence[Transition] | None = None
    warnings: Sequence[Note] | None = None
    created: bool = False


@dataclass(frozen=True, slots=True)
class Timed:
    """A schedule that was just given: the columns that go with it, and what it entails."""

    rule: Schedule
    columns: Mapping[str, Any]
    transitions: Sequence[Transition]
    warnings: Sequence[Note]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A notification that is ready to be stored, but for its destinations."""

    id: UUID
    values: Mapping[str, Any]
    items: Sequence[Item]
    timed: Timed

    @property
    def external_id(self) -> str | None:
        """The caller's own id."""
        found: str | None = self.values["external_id"]
        return found

    def saved(self, ctx: Context, row: Row[Any], directory: Directory) -> Saved:
        """Return what became of it."""
        warnings = [*self.timed.warnings, *recipients.warnings(ctx, directory.named(self.items))]
        return Saved(row, directory.secrets, self.timed.transitions, warnings, created=True)


class Preparation:
    """Prepares drafts of one request; what equal schedules entail is worked out once."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._timed: dict[str, Timed | InvalidInput] = {}

    def __call__(self, draft: Mapping[str, Any]) -> Prepared:
        """Return what is to be stored of a draft: title, body, data, schedule, start_at, to, external_id.

        Asks no database. Raises InvalidInput; wrong destinations are only known once they are looked up.
        """
        timed = self._time(draft["schedule"], draft.get("start_at"))
        check_content(self._ctx, draft, timed.rule)
        items = recipients.read(self._ctx, draft.get("to") or DEFAULT_TO)
        values = {**{name: draft[name] for name in CONTENT}, **timed.columns}
        return Prepared(new_id(), values, items, timed)

    def _time(self, given: object, start_at: str | None) -> Timed:
        key = json.dumps([given, start_at])
        if key not in self._timed:
            try:
                self._timed[key] = time(self._ctx, given, start_at)
            except InvalidInput as error:
                self._timed[key] = error
        found = self._timed[key]
        if isinstance(found, InvalidInput):
            raise found
        return found


def time(ctx: Context, given: object, start_at: str | None) -> Timed:
    """Return what a schedule (JSON) entails if it is saved now. Raises InvalidInput."""
    rule = timing.read_rule(given, start_at)
    columns = timing.columns(ctx, rule)
    warnings = schedule.warnings(rule, now=ctx.now, given=given)
    return Timed(rule, columns, schedule.transitions(rule, now=ctx.now), warnings)


def check_content(ctx: Context, content: Mapping[str, Any], rule: Schedule) -> None:
    """Render the templates once with the real data. Raises InvalidInput."""
    slot = schedule.local(rule, ctx.now)
    rendering.validate(content["title"], content["body"], content["data"], slot=slot)


async def store(ctx: Context, prepared: Sequence[Prepared], directory: Directory) -> dict[UUID, Row[Any]]:
    """Store notifications whose destinations are all in `directory`; return them by id.

    One whose external id is taken is left out; all are if a destination is gone.
    """
    rows = [_row(one, directory) for one in prepared]
    return await additions.add(ctx.session, ctx.project_id, rows, now=ctx.now, changed_by=ctx.caller.name)


def _row(one: Prepared, directory: Directory) -> dict[str, Any]:
    named = directory.named(one.items)
    shown = [{"id": str(row.id), "kind": row.kind, "name": row.name} for row in named]
    return {"id": one.id, **one.values, "destinations": shown}


async def create(ctx: Context, draft: Mapping[str, Any], directory: Directory | None = None) -> Saved | None:
    """Store a notification and work out when it is first due; None if its external id is taken.

    `directory` may give its destinations. Raises InvalidInput.
    """
    prepared = Preparation(ctx)(draft)
    if directory is None and (saved := await _create_at_once(ctx, prepared)):
        return saved
    return await _create(ctx, prepared, directory or await recipients.resolve(ctx, prepared.items))


async def _create_at_once(ctx: Context, prepared: Prepared) -> Saved | None:
    """Store a notification whose destinations are all there, as most are: nothing is locked in advance.

    None if it is not stored: something is wrong or missing, or a destination was deleted just now.
    """
    directory = await recipients.peek(ctx, prepared.items)
    return await _create(ctx, prepared, directory) if directory.knows(prepared.items) else None


async def _create(ctx: Context, prepared: Prepared, directory: Directory) -> Saved | None:
    row = (await store(ctx, [prepared], directory)).get(prepared.id)
    return None if row is None else prepared.saved(ctx, row, directory)
