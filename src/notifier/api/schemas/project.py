"""The shapes of projects and keys."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from notifier.api.schemas.common import Id, Input, Instant, Output

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
