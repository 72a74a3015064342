"""What all shapes share."""

import base64
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from notifier.domain.errors import FieldProblem, InvalidInput, pointer
from notifier.domain.schedule.parsing import instant

SURROGATE = re.compile("[\ud800-\udfff]")
DEEPEST = 32
"""How deep objects and lists may be nested in a request."""


def _write_instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


Instant = Annotated[datetime, PlainSerializer(_write_instant, return_type=str, when_used="json")]
"""RFC 3339, UTC, with `Z`."""

StoredInstant = datetime
"""An instant as the database gives it, in UTC: Pydantic itself writes that with `Z`, and much faster."""


def _read_instant(value: object) -> datetime:
    try:
        return instant(value)
    except InvalidInput as error:
        problem = error.problems[0]
        raise PydanticCustomError("invalid_instant", "{detail}", {"detail": problem.detail}) from None


AwareInstant = Annotated[datetime, BeforeValidator(_read_instant)]
"""An instant as callers write it: RFC 3339 with an offset, and nothing that merely looks like one."""
Id = Annotated[UUID, PlainSerializer(str, return_type=str)]
GivenId = Annotated[UUID, Field(strict=False)]
"""An id in a body: JSON has no type for it, so text is what is meant."""


def _storable(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain the NUL character")
    return value


StorableText = Annotated[str, AfterValidator(_storable)]
"""Text from a path or a query; bodies are checked as a whole by `Input`."""


class Input(BaseModel):
    """Base of request bodies: unknown fields are refused, and so is what no database can store.

    Strict: a number is not taken for text, nor 0 for false.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _check_storable(cls, value: Any) -> Any:
        problems = list(_unstorable(value))
        if problems:
            raise InvalidInput(problems)
        return value


def _drop_defaults(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        field.pop("default", None)


class Changes(Input):
    """Base of PATCH bodies: a field that is absent stays as it is, so its default means nothing."""

    model_config = ConfigDict(json_schema_extra=_drop_defaults)

    def changes(self) -> dict[str, Any]:
        """Return the fields that the request named."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Output(BaseModel):
    """Base of answers, made from rows."""

    model_config = ConfigDict(from_attributes=True)


def _unstorable(value: Any) -> Iterator[FieldProblem]:
    """Yield what JSON can carry but text and numbers in a database cannot."""
    stack: list[tuple[str, int, Any]] = [("", 0, value)]
    while stack:
        place, depth, one = stack.pop()
        if depth > DEEPEST:
            yield FieldProblem(place, "too_deep", f"Nested more than {DEEPEST} levels deep.")
        elif isinstance(one, dict):
            stack += [(place + pointer([key]), depth + 1, item) for key, item in one.items()]
            stack += [(place, depth, key) for key in one]
        elif isinstance(one, list):
            stack += [(f"{place}/{index}", depth + 1, item) for index, item in enumerate(one)]
        elif problem := _wrong_scalar(one):
            yield FieldProblem(place, *problem)


def _wrong_scalar(value: Any) -> tuple[str, str] | None:
    if isinstance(value, str) and "\x00" in value:
        return "nul_character", "Text must not contain the NUL character."
    if isinstance(value, str) and not value.isascii() and SURROGATE.search(value):
        return "invalid_unicode", "Text must not contain half of a surrogate pair."
    if isinstance(value, float) and not math.isfinite(value):
        return "not_a_number", "A number must be finite."
    return None


def write_cursor(after: UUID | None) -> str | None:
    """Return the opaque cursor of the next page."""
    return base64.urlsafe_b64encode(after.bytes).decode().rstrip("=") if after else None


def read_cursor(cursor: str | None) -> UUID | None:
    """Return what a cursor stands for. Raises InvalidInput."""
    if cursor is None:
        return None
    try:
        return UUID(bytes=base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except ValueError:
        raise InvalidInput.at(
            "/cursor", "invalid_cursor", "Give the `next_cursor` of the page before."
        ) from None


Limit = Annotated[int, Field(ge=1, le=100, description="Most items on the page.")]
