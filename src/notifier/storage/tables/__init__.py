"""The tables. Every row belongs to a project; composite keys keep rows of two projects apart.

All instants are `timestamptz` in UTC. The partial indexes carry the predicates of the queries in
`planning`, `claims` and `rescue` word for word, so that PostgreSQL can use them.
"""

from notifier.storage.tables.access import api_keys, idempotency_keys, projects
from notifier.storage.tables.columns import LIVE, clock_now, metadata
from notifier.storage.tables.ledger import attempts, deliveries, heartbeats
from notifier.storage.tables.notifications import (
    destinations,
    event_subscriptions,
    notification_destinations,
    notification_exceptions,
    notification_revisions,
    notifications,
)

__all__ = [
    "LIVE",
    "api_keys",
    "attempts",
    "clock_now",
    "deliveries",
    "destinations",
    "event_subscriptions",
    "heartbeats",
    "idempotency_keys",
    "metadata",
    "notification_destinations",
    "notification_exceptions",
    "notification_revisions",
    "notifications",
    "projects",
]
