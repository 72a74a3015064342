"""The shapes of exceptions."""

from typing import Literal

from pydantic import Field

from notifier.api.schemas.common import AwareInstant, Id, Input, Instant, Output
from notifier.api.schemas.notification import Body, Title

Action = Literal["skip", "move", "reword"]


class ExceptionCreate(Input):
    """What to do with one coming slot."""

    slot: AwareInstant = Field(
        examples=["2026-12-25T08:00:00Z"], description="The slot, as `upcoming` lists it."
    )
    action: Action = Field(
        description="`skip` it, `move` it to `move_to`, or `reword` it with `title`, `body`."
    )
    move_to: AwareInstant | None = None
    title: Title | None = None
    body: Body | None = None


class ExceptionRead(Output):
    """An exception."""

    id: Id
    slot: Instant = Field(validation_alias="slot_at")
    action: Action
    move_to: Instant | None
    title: str | None
    body: str | None
    created_at: Instant


class ExceptionList(Output):
    """The exceptions of a notification's coming slots, first slot first; there are 366 at most."""

    items: list[ExceptionRead]
    next_cursor: None = None
