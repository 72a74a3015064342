"""The shapes of the test clock."""

from pydantic import Field

from notifier.api.schemas.common import AwareInstant, Id, Input, Instant, Output


class Advance(Input):
    """How far to run."""

    to: AwareInstant = Field(examples=["2027-11-22T00:00:00Z"])
    down: bool = Field(
        False, description="Let the time pass without running anything, as if the service were down."
    )


class CapturedRead(Output):
    """A message that would have gone out."""

    delivery_id: Id
    notification_id: Id | None
    kind: str
    scheduled_for: Instant
    sent_at: Instant
    attempt: int
    message_id: str
    title: str
    body: str


class Advanced(Output):
    """Where the clock stands, and what was sent on the way; the whole ledger is at `/v1/deliveries`."""

    now: Instant
    complete: bool = Field(description="False if it stopped on the way, after 5,000 messages: call again.")
    messages: list[CapturedRead]
