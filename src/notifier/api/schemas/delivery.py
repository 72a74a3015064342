"""The shapes of a delivery and its attempts."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from notifier.api.schemas.common import GivenId, Id, Input, Instant, Output
from notifier.domain.delivery import AttemptOutcome, Status, Trigger


class AttemptRead(Output):
    """One try. `timeout`, `connection_lost` and `unknown` are ambiguous; null while it runs."""

    number: int
    started_at: Instant
    duration_ms: int | None
    outcome: AttemptOutcome | None
    status_code: int | None
    error: str | None


class DeliveryRead(Output):
    """One notification x one slot x one destination."""

    id: Id
    notification_id: Id | None = Field(description="Null for the test message of a destination.")
    destination_id: Id
    scheduled_for: Instant
    trigger: Trigger
    status: Status
    reason: str | None = Field(description="Why it ended as it did, where it was not delivered.")
    attempts_made: int
    next_attempt_at: Instant | None
    finished_at: Instant | None
    message_id: str = Field(description="The same on every attempt: receivers may drop what they have seen.")
    late_by_seconds: float | None = Field(
        description="From `scheduled_for` to the start of the first attempt."
    )
    slot_count: int = Field(description="More than 1: a range of slots, from `scheduled_for` to `range_end`.")
    range_end: Instant | None = Field(description="All slots of the range lie before this instant.")
    revision: int | None = Field(description="The notification's revision that is sent.")
    created_at: Instant


class DeliveryDetail(DeliveryRead):
    """A delivery with its attempts."""

    attempts: list[AttemptRead]


class DeliveryPage(Output):
    """A page of the ledger, newest first."""

    items: list[DeliveryRead]
    next_cursor: str | None


class DeliveriesQueued(Output):
    """The deliveries that were queued."""

    deliveries: list[DeliveryRead]


class HeldDecision(Input):
    """What to do with deliveries that are held; without a filter, with all of them."""

    action: Literal["release", "skip"]
    notification_id: GivenId | None = None
    destination_id: GivenId | None = None
    reason: Annotated[str, StringConstraints(max_length=50)] | None = Field(None, examples=["overdue"])


class HeldDecided(Output):
    """What was decided."""

    count: int = Field(description="How many deliveries were released or skipped.")
