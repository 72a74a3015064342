"""The words of the ledger: delivery states, reasons, attempt outcomes, the envelope."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID


class Trigger(StrEnum):
    """Why a delivery exists."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    REPLAY = "replay"
    TEST = "test"
    EVENT = "event"


class Status(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    SENDING = "sending"
    RETRYING = "retrying"
    HELD = "held"
    UNKNOWN = "unknown"
    DELIVERED = "delivered"
    FAILED = "failed"
    SKIPPED = "skipped"
    MISSED = "missed"
    CANCELED = "canceled"


TERMINAL = frozenset({Status.DELIVERED, Status.FAILED, Status.SKIPPED, Status.MISSED, Status.CANCELED})
"""States that no attempt follows."""

CLAIMABLE = frozenset({Status.PENDING, Status.RETRYING})
"""States from which a worker may take a delivery."""


class Reason(StrEnum):
    """Why a delivery ended as it did (of those that were delivered, most have none)."""

    RETRIES_EXHAUSTED = "retries_exhausted"
    NEXT_SLOT_REACHED = "next_slot_reached"
    RECIPIENT_REJECTED = "recipient_rejected"
    DESTINATION_GONE = "destination_gone"
    ADDRESS_BLOCKED = "address_blocked"
    TEMPLATE_ERROR = "template_error"
    DECRYPTION_ERROR = "decryption_error"
    POISON = "poison"
    PLANNING_ERROR = "planning_error"
    DECIDED = "decided"
    PARTLY_REFUSED = "partly_refused"
    OVERDUE = "overdue"
    PAUSED = "paused"
    EXCLUDED = "excluded"
    HOLIDAY = "holiday"
    MOVED = "moved"
    COALESCED = "coalesced"
    GRACE_EXCEEDED = "grace_exceeded"
    NOTIFICATION_DELETED = "notification_deleted"
    DESTINATION_DELETED = "destination_deleted"


class AttemptOutcome(StrEnum):
    """How one try ended; the last three are ambiguous: the receiver may or may not have the message."""

    DELIVERED = "delivered"
    FAILED = "failed"
    REJECTED = "rejected"
    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection_lost"
    UNKNOWN = "unknown"


MOST_UNKNOWN_IN_A_ROW = 3
"""A delivery whose last attempts were as many as that, and unknown, is given up: it may be what kills."""

AMBIGUOUS = frozenset({AttemptOutcome.TIMEOUT, AttemptOutcome.CONNECTION_LOST, AttemptOutcome.UNKNOWN})
"""Outcomes after which the receiver may already have the message."""


class Outcome(NamedTuple):
    """What a channel returns for one try. A channel raises only for bugs.

    `retry_after` is the wait that the receiver asked for. `reason` is set where `result` is rejected
    (no retry), or where a part only was delivered; `error` is a short text for the ledger, `status_code`
    the receiver's HTTP or SMTP code. `ours`: the service is at fault, not the destination.
    """

    result: AttemptOutcome
    status_code: int | None = None
    error: str | None = None
    retry_after: timedelta | None = None
    reason: Reason | None = None
    ours: bool = False

    @classmethod
    @lru_cache
    def delivered(cls, status_code: int | None = None) -> "Outcome":
        """The receiver accepted the message."""
        return cls(AttemptOutcome.DELIVERED, status_code)

    @classmethod
    def rejected(cls, reason: Reason, error: str, status_code: int | None = None) -> "Outcome":
        """A permanent no: trying again cannot help."""
        return cls(AttemptOutcome.REJECTED, status_code, error, reason=reason)


Sending = Callable[[], Awaitable[Outcome]]
"""What sends one prepared message, once."""


class Envelope(NamedTuple):
    """All that a channel needs for one try: rendered, decrypted, frozen; nothing of the database inside.

    `message_id` is the same on every attempt of a delivery. `secrets` holds the destination's signing
    secrets, newest first (empty where the kind has none). `late_by` is the time from `scheduled_for`
    to the first claim. `last`: no other try may follow, should this one fail. `event` is set where the
    project is told of something: its `type`, `timestamp` and `data`. Instants are UTC.
    """

    delivery_id: UUID
    notification_id: UUID | None
    external_id: str | None
    message_id: str
    attempt: int
    sent_at: datetime
    scheduled_for: datetime
    late_by: timedelta
    title: str
    body: str
    data: Mapping[str, Any]
    kind: str
    config: Mapping[str, Any]
    secrets: tuple[str, ...] = ()
    event: Mapping[str, Any] | None = None
    last: bool = False


class Decision(StrEnum):
    """What a person makes of an `unknown` delivery: it arrived, it did not, or it is to be sent again."""

    DELIVERED = "delivered"
    FAILED = "failed"
    RETRY = "retry"


def message_id(source: UUID, destination_id: UUID, scheduled_for: datetime) -> str:
    """Return the id of a message: the same on every attempt, and again after a restore.

    `source` is the notification; the destination itself for its test message; a replay that is a new message.
    """
    moment = _moment(scheduled_for if scheduled_for.tzinfo is UTC else scheduled_for.astimezone(UTC))
    digest = hashlib.sha256(f"{source}/{destination_id}/{moment}".encode()).hexdigest()
    return f"msg_{digest[:32]}"


@lru_cache
def _moment(at: datetime) -> str:
    """Return a UTC instant as text; of the many that are due at nine o'clock, most have the same."""
    return at.isoformat(timespec="microseconds")
