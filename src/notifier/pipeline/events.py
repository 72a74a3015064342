"""The words of an event, for channels that have people at the other end."""

from collections.abc import Mapping
from typing import Any

TITLES = {
    "delivery.delivered": "Delivered",
    "delivery.failed": "Not delivered",
    "delivery.missed": "Missed",
    "delivery.held": "Held",
    "delivery.unknown": "Perhaps delivered",
    "delivery.skipped": "Skipped",
    "delivery.canceled": "Canceled",
    "destination.blocked": "Destination blocked",
}


def words(event: Mapping[str, Any], notification: str | None) -> tuple[str, str]:
    """Return title and body of an event; `notification` is the title of the one that it is about, if any."""
    facts = event["data"]
    about = notification or facts["destination"]
    title = f"{TITLES.get(event['type'], event['type'])}: {about}"
    return title, "\n".join(f"{name}: {fact}" for name, fact in facts.items() if fact is not None)
