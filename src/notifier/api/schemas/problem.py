"""The problem document (RFC 9457) that every error answers with."""

from pydantic import BaseModel, Field


class FieldError(BaseModel):
    """One wrong field."""

    pointer: str = Field(
        description="JSON Pointer into the body, or the name of a parameter.", examples=["/title"]
    )
    code: str = Field(description="Stable word for what is wrong.", examples=["missing"])
    detail: str = Field(description="What is wrong, for people.", examples=["This is required."])


class Problem(BaseModel):
    """An error, as `application/problem+json`."""

    type: str = Field(
        description="Stable name of the kind of error.", examples=["urn:notifier:problem:invalid-input"]
    )
    title: str = Field(examples=["Some of the input is wrong"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["title: This is required."])
    instance: str = Field(description="Path of the request.", examples=["/v1/notifications"])
    errors: list[FieldError] | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="The wrong fields, where fields are wrong.",
    )
