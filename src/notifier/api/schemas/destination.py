"""The shapes of a destination."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from notifier.api.schemas.common import Changes, Id, Input, Instant, Output

Kind = Annotated[str, StringConstraints(min_length=1, max_length=50)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"\S")]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=200)]
CONFIG_TEXT = (
    '`webhook`: `{"url", "headers"?}` (the values of headers are never shown again); '
    '`email`: `{"to": [...]}`; `log`: `{}`.'
)


OnUnknown = Literal["retry", "hold"]
ON_UNKNOWN_TEXT = (
    "What follows an attempt whose outcome nobody knows. `retry`: another one, so a message may come twice. "
    "`hold`: none; the delivery stays `unknown` until somebody decides."
)
Wait = Annotated[int, Field(ge=1, le=7 * 86_400)]


class RetryPolicy(Input):
    """When to try again."""

    schedule: list[Wait] = Field(
        max_length=20,
        examples=[[5, 300, 1800]],
        description="Seconds before the second try, the third, and so on; +-20 % jitter is added. "
        "Empty: one try only.",
    )


RETRY_TEXT = "When to try again; null: as the service does."


class DestinationCreate(Input):
    """A destination to be made."""

    kind: Kind = Field(examples=["webhook"], description="`webhook`, `email` or `log`.")
    name: Name | None = Field(
        None, examples=["ops"], description="For people; made from the config if absent."
    )
    config: dict[str, Any] = Field(
        {}, examples=[{"url": "https://example.com/hook"}], description=CONFIG_TEXT
    )
    secret: Secret | None = Field(None, description="Signing secret of a webhook; made if absent.")
    retry: RetryPolicy | None = Field(None, description=RETRY_TEXT)
    on_unknown: OnUnknown = Field("retry", description=ON_UNKNOWN_TEXT)


class DestinationUpdate(Changes):
    """The fields to change; a field that is absent stays as it is."""

    name: Name = ""
    config: dict[str, Any] = Field({}, description=CONFIG_TEXT)
    secret: Secret = Field(
        "", description="New signing secret; the one before it signs too, until the next one."
    )
    retry: RetryPolicy | None = Field(None, description=RETRY_TEXT)
    on_unknown: OnUnknown = Field("retry", description=ON_UNKNOWN_TEXT)
    status: Literal["active"] = Field(
        "active", description="`active` lifts a block and releases what was held."
    )

    def changes(self) -> dict[str, Any]:
        """Return the fields that the request named, `retry` as it is stored."""
        named = super().changes()
        if "retry" in named:
            policy = named.pop("retry")
            named["retry_schedule"] = policy and policy.schedule
        return named


class DestinationRead(Output):
    """A destination."""

    id: Id
    kind: str
    name: str
    config: dict[str, Any]
    secret_set: bool
    retry: RetryPolicy | None
    on_unknown: OnUnknown
    status: Literal["active", "blocked"]
    blocked_reason: str | None = Field(
        description="`gone`: the receiver answered 410. `failing`: every attempt failed for five days."
    )
    failing_since: Instant | None = Field(description="Since when every attempt has failed.")
    revision: int
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, row: Any) -> "DestinationRead":
        """Return the answer for a row."""
        schedule = row.retry_schedule
        made_up = {
            "status": "blocked" if row.blocked_at else "active",
            "retry": None if schedule is None else {"schedule": [int(wait) for wait in schedule]},
        }
        return cls.model_validate({**row._mapping, **made_up})


class DestinationCreated(DestinationRead):
    """A destination just made, with its secret."""

    secret: str | None = Field(description="Signing secret (`whsec_…`); shown here and never again.")


class DestinationPage(Output):
    """A page of destinations, newest first."""

    items: list[DestinationRead]
    next_cursor: str | None
