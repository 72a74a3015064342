"""The shapes of a notification."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints

from notifier.api.schemas.common import AwareInstant, Changes, Id, Input, Output, StorableText, StoredInstant
from notifier.api.schemas.preview import NoteRead, TransitionRead
from notifier.api.schemas.schedule import ScheduleIn, ScheduleOut
from notifier.services import upcoming

Status = Literal["active", "paused", "blocked", "completed"]
Title = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"\S")]
Body = Annotated[str, StringConstraints(max_length=64 * 1024)]
ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=200)]
ExternalIdPath = Annotated[StorableText, StringConstraints(min_length=1, max_length=200)]
Address = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
To = Annotated[
    list[Address],
    Field(
        min_length=1,
        max_length=50,
        examples=[["mailto:ada@example.com", "https://example.com/hook"]],
        description="Ids of destinations, or addresses: `log:`, `mailto:…`, `https://…`. "
        "An address makes, or finds, the stored destination.",
    ),
]
StartAt = Annotated[
    str,
    Field(
        examples=["2026-11-23T09:00:00Z"],
        json_schema_extra={"format": "date-time"},
        description="First due time. Now, or up to five minutes ago, is due at the next sweep.",
    ),
]


class NotificationPut(Input):
    """A whole notification, for `PUT`. The least that works is a title and a schedule."""

    title: Title = Field(examples=["Water the plants"], description="Liquid template.")
    body: Body = Field(
        "", examples=["Hi {{ name }}, it is {{ slot.local_date }}."], description="Liquid template."
    )
    data: dict[str, Any] = Field({}, examples=[{"name": "Ada"}], description="Values for the templates.")
    schedule: ScheduleIn
    start_at: StartAt | None = None
    to: To | None = Field(None, description="Where to send; without it, to the log (`log:`).")


class NotificationCreate(NotificationPut):
    """A notification to be made. The least that works is a title and a schedule."""

    external_id: ExternalId | None = Field(
        None, examples=["plants"], description="Your own id, unique in the project."
    )


class NotificationUpdate(Changes):
    """The fields to change; a field that is absent stays as it is. Only `external_id` may be null."""

    title: Title = ""
    body: Body = ""
    data: dict[str, Any] = {}
    schedule: ScheduleIn = None
    start_at: StartAt = ""
    to: To = []
    external_id: ExternalId | None = None


class Pause(Input):
    """Why it is paused, and for how long."""

    reason: Annotated[str, StringConstraints(max_length=500)] | None = Field(None, examples=["on holiday"])
    until: AwareInstant | None = Field(
        None, examples=["2026-12-27T00:00:00Z"], description="It resumes by itself then; else when told to."
    )
    cancel_pending: bool = Field(False, description="Cancel what is under way too, unless it is being sent.")


class Resume(Input):
    """How it is resumed."""

    catch_up: bool = Field(False, description="Send the latest of the slots that passed, at once.")


class SendNow(Input):
    """How to send now."""

    reset_clock: bool = Field(False, description="Count the interval from now.")


class NotificationDestination(Output):
    """A destination of a notification."""

    id: Id
    kind: str = Field(examples=["webhook"])
    name: str = Field(examples=["ops"])
    secret: str | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="Signing secret, shown once, when this very call made the destination.",
    )


class NotificationRead(Output):
    """A notification."""

    id: Id
    external_id: str | None
    title: str
    body: str
    data: dict[str, Any]
    schedule: ScheduleOut
    destinations: list[NotificationDestination]
    status: Status
    paused_at: StoredInstant | None = Field(description="Since when it is paused.")
    pause_reason: str | None
    paused_by: str | None
    paused_until: StoredInstant | None
    blocked_reason: str | None
    next_due_at: StoredInstant | None = Field(
        description="When the next message goes out; slots that are left out by date or by an exception are "
        "passed over. Null while nothing will."
    )
    last_delivered_at: StoredInstant | None
    revision: int
    created_at: StoredInstant
    updated_at: StoredInstant

    @classmethod
    def of(cls, row: Any, secrets: Mapping[UUID, str] | None = None) -> Self:
        """Return the answer for a row."""
        read = cls.model_validate({**row._mapping, "next_due_at": upcoming.next_sent_at(row)})
        for target in read.destinations if secrets else ():
            target.secret = (secrets or {}).get(target.id)
        return read


class NotificationSaved(NotificationRead):
    """A notification just saved, with what its schedule entails where one was given."""

    transitions: list[TransitionRead] | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="The changes of the clocks in the next 24 months that touch it, if a schedule was given.",
    )
    warnings: list[NoteRead] | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="What may not have been meant, if a schedule or destinations were given.",
    )

    @classmethod
    def of_saved(cls, saved: Any) -> "NotificationSaved":
        """Return the answer to a call that saved a notification."""
        read = cls.of(saved.row, saved.secrets)
        if saved.transitions is not None:
            read.transitions = [TransitionRead.model_validate(one) for one in saved.transitions]
        if saved.warnings is not None:
            read.warnings = [NoteRead.model_validate(one) for one in saved.warnings]
        return read


class NotificationPage(Output):
    """A page of notifications, newest first."""

    items: list[NotificationRead]
    next_cursor: str | None
