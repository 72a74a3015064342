"""Signatures of webhooks, as Standard Webhooks has them."""

import base64
import secrets as random
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

from standardwebhooks import Webhook

PREFIX = "whsec_"
SECRET_BYTES = 32
SECRET_SIZES = range(24, 65)


def new_secret() -> str:
    """Return a fresh random signing secret, in the form that receivers' libraries take."""
    return PREFIX + base64.b64encode(random.token_bytes(SECRET_BYTES)).decode()


def is_secret(text: str) -> bool:
    """Tell whether `text` is `whsec_` and 24 to 64 bytes in base64, as the specification wants it."""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        return False
    return text.startswith(PREFIX) and len(key) in SECRET_SIZES


def headers(message_id: str, sent_at: datetime, body: str, secrets: Iterable[str]) -> dict[str, str]:
    """Return the Standard Webhooks headers, with one signature for each secret, in their order.

    `sent_at` is an aware instant; `body` the exact text that is sent.
    """
    at = sent_at.astimezone(UTC)
    signatures = [_signer(secret).sign(message_id, at, body) for secret in secrets]
    signed = {"webhook-signature": " ".join(signatures)} if signatures else {}
    return {"webhook-id": message_id, "webhook-timestamp": str(int(at.timestamp())), **signed}


@lru_cache(maxsize=4096)
def _signer(secret: str) -> Webhook:
    return Webhook(secret)
