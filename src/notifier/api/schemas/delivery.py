"""The shapes of a delivery and its attempts."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from notifier.api.schemas.common import AwareInstant, GivenId, Id, Input, Instant, Output
from notifier.domain.delivery import AttemptOutcome, Decision, Status, Trigger
from notifier.domain.errors import InvalidInput

ReasonFilter = Annotated[str, StringConstraints(max_length=50), Field(examples=["overdue"])]


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
    notification_id: Id | None = Field(description="Null for the test message of a destination and an event.")
    title: str | None = Field(
        description="The template of the title, as the pinned revision (or an exception) has it. "
        "Null for a test message and an event."
    )
    destination_id: Id
    destination: DeliveryDestination
    scheduled_for: Instant
    trigger: Trigger
    status: Status = Field(
        description="`pending`: waits for its turn. `sending`: an attempt runs. `retrying`: waits for the "
        "next attempt. `held`: waits for a person or for its destination. `unknown`: nobody knows whether "
        "it arrived, `POST .../resolve` decides. Final: `delivered`; `failed`: given up; `skipped`: nobody "
        "wanted it; `missed`: too late; `canceled`: taken back."
    )
    reason: str | None = Field(description="Why it stands or ended so; null for most that were delivered.")
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
    replay_of: Id | None = Field(
        description="The delivery that this one repeats; of a replay of a replay, the first of all."
    )
    event: str | None = Field(
        description="What the project was told of, where that is the message.", examples=["delivery.failed"]
    )
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
    reason: ReasonFilter | None = None


As = Annotated[
    Decision,
    Field(
        strict=False,
        alias="as",
        description="`delivered`: it arrived. `failed`: it did not. `retry`: send it again, with the same "
        "`message_id`.",
    ),
]


class Resolution(Input):
    """What became of a delivery that is `unknown`."""

    as_: As


class UnknownDecision(Input):
    """What became of deliveries that are `unknown`; without a filter, of all of them."""

    as_: As
    notification_id: GivenId | None = None
    destination_id: GivenId | None = None
    since: AwareInstant | None = None
    until: AwareInstant | None = None


class Decided(Output):
    """What was decided."""

    count: int = Field(description="How many deliveries the decision was for.")


AsNew = Annotated[
    bool,
    Field(description="With a `message_id` of its own, for receivers that drop what they have seen before."),
]


class Replay(Input):
    """How one delivery is sent again."""

    as_new: AsNew = False


class ReplayMany(Input):
    """What is sent again: at least one of the filters. Without `ids`, `status` and `reason`: what failed."""

    ids: Annotated[list[GivenId], Field(min_length=1, max_length=10_000)] | None = None
    notification_id: GivenId | None = None
    destination_id: GivenId | None = None
    status: Literal["delivered", "failed", "skipped", "missed", "canceled"] | None = None
    reason: ReasonFilter | None = None
    since: AwareInstant | None = Field(None, description="Slots from this instant on.")
    until: AwareInstant | None = Field(None, description="Slots up to this instant.")
    as_new: AsNew = False
    dry_run: bool = Field(False, description="Count only.")
    cursor: Annotated[str, StringConstraints(max_length=100)] | None = Field(
        None, description="`next_cursor` of the call before; with the same filters."
    )

    @property
    def filters(self) -> dict[str, object]:
        """The filters that were given."""
        return self.model_dump(exclude={"as_new", "dry_run", "cursor"}, exclude_none=True)

    @model_validator(mode="after")
    def _check_filters(self) -> Self:
        if not self.filters:
            raise InvalidInput.at("", "no_filter", "Say what is to be sent again: give at least one filter.")
        return self


class ReplayedMany(Output):
    """What was sent again: up to 10,000 deliveries are looked at in one call."""

    count: int = Field(description="How many are sent again, or would be.")
    left_out: dict[str, int] = Field(
        description="How many are not, by why: `under_way` (a replay is open, or was just made), "
        "`delivered_since` (by a replay), `range`, `not_ended`, `undecided`, `no_notification` (test "
        "messages and events), `notification_deleted`, `destination_deleted`, `not_found`."
    )
    next_cursor: str | None = Field(description="Not null: there are more; call again with it.")
