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


class DestinationUpdate(Changes):
    """The fields to change; a field that is absent stays as it is."""

    name: Name = ""
    config: dict[str, Any] = Field({}, description=CONFIG_TEXT)
    secret: Secret = Field(
        "", description="New signing secret; the one before it signs too, until the next one."
    )
    status: Literal["active"] = Field(
        "active", description="`active` lifts a block and releases what was held."
    )


class DestinationRead(Output):
    """A destination."""

    id: Id
    kind: str
    name: str
    config: dict[str, Any]
    secret_set: bool
    status: Literal["active", "blocked"]
    blocked_reason: str | None
    revision: int
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, row: Any) -> "DestinationRead":
        """Return the answer for a row."""
        return cls.model_validate({**row._mapping, "status": "blocked" if row.blocked_at else "active"})


class DestinationCreated(DestinationRead):
    """A destination just made, with its secret."""

    secret: str | None = Field(description="Signing secret (`whsec_…`); shown here and never again.")


class DestinationPage(Output):
    """A page of destinations, newest first."""

    items: list[DestinationRead]
    next_cursor: str | None
