"""The shapes of projects and keys."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from notifier.api.schemas.common import Changes, GivenId, Id, Input, Instant, Output
from notifier.domain.event import BAD_NEWS, EventType

Scope = Literal["read", "write", "admin"]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"\S")]


class ProjectCreate(Input):
    """A project to be made."""

    name: Name = Field(examples=["rehearsals"])
    mode: Literal["live", "test"] = Field(
        "live", description="`test`: nothing leaves, and it has a clock of its own that you move."
    )


class ProjectRead(Output):
    """A project."""

    id: Id
    name: str
    mode: Literal["live", "test"]
    clock_at: Instant | None = Field(description="Where the clock of a test project stands.")
    created_at: Instant


class Subscription(Input):
    """Events that a destination is sent."""

    destination_id: GivenId = Field(description="A destination of the project, of any kind.")
    types: list[Annotated[EventType, Field(strict=False)]] = Field(
        list(BAD_NEWS), min_length=1, max_length=len(EventType), description="If absent: the bad news."
    )


class OwnProjectUpdate(Changes):
    """The fields to change; a field that is absent stays as it is."""

    name: Name = ""
    events: list[Subscription] = Field(
        [], max_length=10, description="Who is sent which events, in place of all that was set before."
    )

    def changes(self) -> dict[str, Any]:
        """Return the fields that the request named."""
        return self.model_dump(include=self.model_fields_set)


class SubscriptionRead(Output):
    """Events that a destination is sent."""

    destination_id: Id
    types: list[EventType]


class OwnProject(ProjectRead):
    """The project of the key that asks."""

    events: list[SubscriptionRead] = Field(description="Who is sent which events.")

    @classmethod
    def of(cls, row: Any, subscriptions: Any) -> "OwnProject":
        """Return the answer for a row and its subscriptions."""
        return cls.model_validate({**row._mapping, "events": list(subscriptions)})


class ProjectCreated(ProjectRead):
    """A project just made, with its first key."""

    api_key: str = Field(description="An admin key of the project; shown here and never again.")


class ProjectPage(Output):
    """A page of projects, newest first."""

    items: list[ProjectRead]
    next_cursor: str | None


class KeyCreate(Input):
    """An API key to be made."""

    name: Name = Field(examples=["deploy script"])
    scopes: list[Scope] = Field(min_length=1, max_length=3, examples=[["read", "write"]])


class KeyRead(Output):
    """An API key; its text is never shown again."""

    id: Id
    name: str
    scopes: list[Scope]
    revoked_at: Instant | None
    created_at: Instant


class KeyCreated(KeyRead):
    """A key just made."""

    key: str = Field(description="The key; shown here and never again.")


class KeyPage(Output):
    """A page of keys, newest first."""

    items: list[KeyRead]
    next_cursor: str | None
