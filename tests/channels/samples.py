"""Settings and envelopes as channels get them."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID

from notifier.clock import utc_now
from notifier.domain.delivery import Envelope
from notifier.settings import Settings

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
SLOT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MESSAGE_ID = "msg_0199aa"


def settings(**changes: Any) -> Settings:
    """Return settings for tests: loopback is allowed, time-outs are short."""
    values: dict[str, Any] = {
        "database_url": "postgresql://u@h/d",
        "redis_url": "redis://h",
        "secret_key": "s" * 32,
        "allow_private_destinations": LOOPBACK,
        "webhook_timeout": 2.0,
        "channel_timeout": 2.0,
        "smtp_from": "Notifier <notifier@sender.test>",
        "smtp_tls": "none",
    }
    return Settings(**{**values, **changes})


def envelope(kind: str, config: dict[str, Any], **changes: Any) -> Envelope:
    """Return a complete envelope for `config`."""
    values: dict[str, Any] = {
        "delivery_id": UUID(int=1),
        "notification_id": UUID(int=2),
        "external_id": "plants",
        "message_id": MESSAGE_ID,
        "attempt": 1,
        "sent_at": utc_now(),
        "scheduled_for": SLOT,
        "late_by": timedelta(0),
        "title": "Water the plants",
        "body": "Hi Ada.",
        "data": {"name": "Ada"},
        "kind": kind,
        "config": config,
    }
    return Envelope(**{**values, **changes})


def to(url: str, **changes: Any) -> Envelope:
    """Return an envelope for a webhook, perhaps with `headers` of its own."""
    headers = changes.pop("headers", None)
    return envelope("webhook", {"url": url, **({"headers": headers} if headers else {})}, **changes)
