"""What all peers send, and the table they read: the same JSON and headers as ours, about as many bytes."""

from datetime import UTC, datetime
from typing import Any

DATA = {"name": "Ada", "plants": ["ficus", "fern"]}
TITLE = "Water the plants, Ada"
BODY = "It is 2026-11-22: the ficus and the fern are thirsty again."

THREADS = 40
"""Threads of a tuned Celery worker, a database connection each: PostgreSQL has 97 for two of them."""

# The table of the peers: no revisions, no ledger, no attempts; one row says all.
TABLE = """
CREATE TABLE messages (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  url text NOT NULL,
  title text NOT NULL,
  body text NOT NULL,
  data jsonb NOT NULL,
  next_due_at timestamptz NOT NULL,
  last_sent_at timestamptz,
  last_status integer
);
CREATE INDEX ON messages (next_due_at);
"""


def payload(message_id: str, title: str, body: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON of one message."""
    now = datetime.now(UTC).isoformat()
    told = {
        "notification_id": message_id,
        "delivery_id": message_id,
        "external_id": None,
        "scheduled_for": now,
        "attempt": 1,
        "title": title,
        "body": body,
        "data": data,
    }
    return {"type": "notification.due", "timestamp": now, "data": told}


def headers(message_id: str) -> dict[str, str]:
    """Return the headers of one message; no peer spends time on signing."""
    return {
        "content-type": "application/json",
        "user-agent": "peer/1.0",
        "webhook-id": message_id,
        "webhook-timestamp": "1795345200",
        "webhook-signature": "v1," + "A" * 44,
    }
