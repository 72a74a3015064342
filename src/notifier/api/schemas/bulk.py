"""The shapes of many new notifications at once."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from notifier.api.schemas.common import Id, Output
from notifier.api.schemas.notification import NotificationSaved
from notifier.api.schemas.problem import Problem

MOST_ITEMS = 1000

Draft = Annotated[Any, WithJsonSchema({"$ref": "#/components/schemas/NotificationCreate"})]
"""A body of `POST /v1/notifications`; checked one by one, so that a wrong one spoils no other."""


class BulkCreate(BaseModel):
    """Notifications to be made."""

    model_config = ConfigDict(extra="forbid", strict=True)

    items: Annotated[list[Draft], Field(min_length=1, max_length=MOST_ITEMS)]


class BulkItem(Output):
    """What became of one item: the notification, or the problem that a POST of it would have met."""

    index: int = Field(description="Its place in the request, from 0.")
    status: int = Field(description="The HTTP status of a POST of this item.")
    id: Id | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="Of the notification, with `Prefer: return=minimal`.",
    )
    notification: NotificationSaved | None = Field(None, exclude_if=lambda value: value is None)
    problem: Problem | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="Its pointers lead into the item.",
    )


class BulkCreated(Output):
    """What became of each item, in their order."""

    items: list[BulkItem]
    created: int
    failed: int
