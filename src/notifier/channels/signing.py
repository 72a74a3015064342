"""Signatures of webhooks, as Standard Webhooks has them."""

import base64
import secrets as random
from collections.abc import Iterable
from datetime import UTC, datetime

from standardwebhooks import Webhook

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> str:
    """Return a fresh random signing secret, in the form that receivers' libraries take."""
    return PREFIX + base64.b64encode(random.token_bytes(SECRET_BYTES)).decode()


def headers(message_id: str, sent_at: datetime, body: str, secrets: Iterable[str]) -> dict[str, str]:
    """Return the Standard Webhooks headers, with one signature for each secret, in their order.

    `sent_at` is an aware instant; `body` the exact text that is sent.
    """
    at = sent_at.astimezone(UTC)
    signatures = [Webhook(secret).sign(message_id, at, body) for secret in secrets]
    signed = {"webhook-signature": " ".join(signatures)} if signatures else {}
    return {"webhook-id": message_id, "webhook-timestamp": str(int(at.timestamp())), **signed}
