"""The shapes of previews."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer

from notifier.api.schemas.common import AwareInstant, Input, Instant, Output
from notifier.api.schemas.schedule import ScheduleIn

Local = Annotated[datetime, PlainSerializer(datetime.isoformat, return_type=str, when_used="json")]
"""Local time with the offset in force."""

Count = Annotated[int, Field(ge=1, le=1000, description="How many slots.")]


def _write_offset(value: timedelta) -> str:
    minutes = int(value.total_seconds() // 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


Offset = Annotated[timedelta, PlainSerializer(_write_offset, return_type=str, when_used="json")]


class PreviewRequest(Input):
    """A schedule that is not saved yet."""

    schedule: ScheduleIn
    start: AwareInstant | None = Field(
        None, alias="from", description="As if it were saved at this instant; now, if absent."
    )
    count: Count = 10


class NoteRead(Output):
    """Something worth knowing."""

    code: str = Field(examples=["shifted"])
    detail: str = Field(examples=["02:30 does not exist on this date; it comes at 03:30 instead."])


class SlotRead(Output):
    """A coming slot."""

    at: Instant
    local: Local = Field(examples=["2027-03-28T03:30:00+02:00"])
    notes: list[NoteRead]


class AffectedRead(Output):
    """A local time that a change of the clocks removes or repeats."""

    wall: Local = Field(description="Local time, without an offset.", examples=["2027-03-28T02:30:00"])
    effect: Literal["shifted", "skipped", "dropped", "first", "second", "twice"]
    slots: list[Instant] = Field(description="What it becomes.")


class TransitionRead(Output):
    """A change of the clocks within 24 months that touches the schedule."""

    at: Instant
    kind: Literal["gap", "overlap"]
    offset_before: Offset = Field(examples=["+01:00"])
    offset_after: Offset = Field(examples=["+02:00"])
    affected: list[AffectedRead]


class PreviewRead(Output):
    """What the schedule would do."""

    slots: list[SlotRead]
    transitions: list[TransitionRead]
    warnings: list[NoteRead]


class UpcomingRead(Output):
    """The coming slots of a notification."""

    slots: list[SlotRead]
