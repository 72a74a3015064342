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


class DeliveryDestination(Output):
    """Where a delivery goes."""

    id: Id
    kind: str = Field(examples=["webhook"])
    name: str = Field(examples=["ops"])


class DeliveryRead(Output):
    """One notification x one slot x one destination."""

    id: Id
    notification_id: Id | None = Field(description="Null for the test message of a destination.")
    title: str | None = Field(
        description="The template of the title, as the pinned revision (or an exception) has it. "
        "Null for a test message."
    )
    destination_id: Id
    destination: DeliveryDestination
    scheduled_for: Instant
    trigger: Trigger
    status: Status = Field(
        description="`pending`: waits for its turn. `sending`: an attempt runs. `retrying`: waits for the "
        "next attempt. `held`: waits for a person or for its destination. `unknown`: nobody knows whether "
        "it arrived. Final: `delivered`; `failed`: given up; `skipped`: nobody wanted it; `missed`: too "
        "late; `canceled`: taken back."
    )
    reason: str | None = Field(description="Why it ended as it did, where it was not delivered.")
    attempts_made: int
    last_error: str | None = Field(description="What the newest attempt that has ended ran into.")
    last_status_code: int | None = Field(description="The receiver's HTTP or SMTP code at that attempt.")
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
