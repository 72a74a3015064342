"""What a project can be told of: the types of events."""

from enum import StrEnum


class EventType(StrEnum):
    """What happened. Those of deliveries are named after the status that a delivery came to."""

    DELIVERED = "delivery.delivered"
    FAILED = "delivery.failed"
    MISSED = "delivery.missed"
    HELD = "delivery.held"
    UNKNOWN = "delivery.unknown"
    SKIPPED = "delivery.skipped"
    CANCELED = "delivery.canceled"
    BLOCKED = "destination.blocked"


BAD_NEWS = (EventType.FAILED, EventType.MISSED, EventType.HELD, EventType.UNKNOWN, EventType.BLOCKED)
"""What is told where nobody says what to tell: what somebody may have to do something about."""
