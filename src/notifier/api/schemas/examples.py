"""What a request or an answer may look like: the examples of the OpenAPI document, by name of the schema."""

from typing import Any

from fastapi.openapi.models import Example

PLANTS, OPS, SENT, OTHER = (f"0199f2a4-7c1e-7b6a-9d53-0c6f5e8a4b0{n}" for n in "1234")
NOON, LATER = "2026-11-22T12:00:00Z", "2026-11-22T12:00:00.412000Z"

TARGET = {"id": OPS, "kind": "webhook", "name": "ops"}
NOTIFICATION: dict[str, Any] = {
    "id": PLANTS,
    "external_id": "plants",
    "title": "Water the plants",
    "body": "Hi {{ name }}, it is {{ slot.local_date }}.",
    "data": {"name": "Ada"},
    "schedule": {"kind": "interval", "every": "daily", "anchor": "delivered"},
    "destinations": [TARGET],
    "status": "active",
    "paused_at": None,
    "pause_reason": None,
    "paused_by": None,
    "paused_until": None,
    "blocked_reason": None,
    "next_due_at": "2026-11-23T12:00:00Z",
    "last_delivered_at": None,
    "revision": 1,
    "created_at": NOON,
    "updated_at": NOON,
}
DESTINATION: dict[str, Any] = {
    **TARGET,
    "config": {"url": "https://example.com/hook"},
    "secret_set": True,
    "retry": None,
    "on_unknown": "retry",
    "status": "active",
    "blocked_reason": None,
    "failing_since": None,
    "revision": 1,
    "created_at": NOON,
    "updated_at": NOON,
}
DELIVERY: dict[str, Any] = {
    "id": SENT,
    "notification_id": PLANTS,
    "title": "Water the plants",
    "destination_id": OPS,
    "destination": TARGET,
    "scheduled_for": NOON,
    "trigger": "schedule",
    "status": "delivered",
    "reason": None,
    "attempts_made": 1,
    "last_error": None,
    "last_status_code": 204,
    "next_attempt_at": None,
    "finished_at": "2026-11-22T12:00:00.530000Z",
    "message_id": "msg_3f0a1c9be27d48d5a6b8c7e1f2093d4a",
    "late_by_seconds": 0.412,
    "slot_count": 1,
    "range_end": None,
    "revision": 1,
    "replay_of": None,
    "event": None,
    "created_at": NOON,
}
ATTEMPT: dict[str, Any] = {
    "number": 1,
    "started_at": LATER,
    "duration_ms": 118,
    "outcome": "delivered",
    "status_code": 204,
    "error": None,
}
QUEUED = {
    **DELIVERY,
    "trigger": "manual",
    "status": "pending",
    "attempts_made": 0,
    "last_status_code": None,
    "next_attempt_at": NOON,
    "finished_at": None,
    "late_by_seconds": None,
}
SLOT = {"at": "2026-11-23T08:00:00Z", "local": "2026-11-23T09:00:00+01:00", "notes": []}
CALENDAR = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "Europe/Berlin"}
SHIFTED = {"code": "shifted", "detail": "02:30 does not exist on this date; it comes at 03:30 instead."}
NIGHTLY = {**CALENDAR, "times": ["02:30"]}
SPRING = {
    "at": "2027-03-28T01:00:00Z",
    "kind": "gap",
    "offset_before": "+01:00",
    "offset_after": "+02:00",
    "affected": [{"wall": "2027-03-28T02:30:00", "effect": "shifted", "slots": ["2027-03-28T01:30:00Z"]}],
}
SAVED = {
    **NOTIFICATION,
    "schedule": {**NIGHTLY, "timezone": "Europe/Berlin"},
    "next_due_at": "2026-11-23T01:30:00Z",
    "transitions": [SPRING],
    "warnings": [],
}
MOVED = {"slot": "2026-12-25T08:00:00Z", "action": "move", "move_to": "2026-12-27T08:00:00Z"}
EXCEPTION = {"id": OTHER, "title": None, "body": None, **MOVED, "created_at": NOON}
PROJECT = {"id": OTHER, "name": "rehearsals", "mode": "test", "clock_at": NOON, "created_at": NOON}
BAD_NEWS_TO_OPS = {"destination_id": OPS, "types": ["delivery.failed", "destination.blocked"]}
KEY = {
    "id": OTHER,
    "name": "deploy script",
    "scopes": ["read", "write"],
    "revoked_at": None,
    "created_at": NOON,
}
KEY_TEXT = "ntf_VGhpcyBpcyBvbmx5IGFuIGV4YW1wbGUsIG5vIGtleS4"
CAPTURED = {
    "delivery_id": SENT,
    "notification_id": PLANTS,
    "kind": "webhook",
    "scheduled_for": "2026-11-23T12:00:00Z",
    "sent_at": "2026-11-23T12:00:00Z",
    "attempt": 1,
    "message_id": DELIVERY["message_id"],
    "title": "Water the plants",
    "body": "Hi Ada, it is 2026-11-23.",
}
CHECKS = {"database": "ok", "redis": "ok", "scheduler": "ok", "worker": "ok", "queue": "ok"}


def _page(item: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"items": [item], "next_cursor": None}]


_WEEKDAYS = ["mon", "tue", "wed", "thu", "fri"]
CREATE_EXAMPLES: dict[str, Example] = {
    "least": {
        "summary": "The least: to the log, every 24 hours",
        "value": {"title": "Water the plants", "schedule": "daily"},
    },
    "webhook_and_mail": {
        "summary": "A webhook and a mail, with templates",
        "value": {
            **{name: NOTIFICATION[name] for name in ("external_id", "title", "body", "data", "schedule")},
            "to": ["https://example.com/hook", "mailto:ada@example.com"],
        },
    },
    "weekdays": {
        "summary": "At nine on weekdays, whatever daylight saving does",
        "value": {
            "title": "Stand-up",
            "schedule": {**CALENDAR, "frequency": "weekly", "weekdays": _WEEKDAYS, "holidays": "DE"},
        },
    },
    "cron": {
        "summary": "A crontab line",
        "value": {
            "title": "Rotate the logs",
            "schedule": {"kind": "cron", "expression": "30 2 * * MON", "timezone": "Europe/Berlin"},
        },
    },
    "once": {
        "summary": "One reminder",
        "value": {
            "title": "Call Ada",
            "schedule": {"kind": "once", "at": "2030-12-24T18:00", "timezone": "Europe/Berlin"},
        },
    },
}
"""Bodies of `POST /v1/notifications`, by the name under which the docs page offers them."""

PROBLEM = {
    "type": "urn:notifier:problem:invalid-input",
    "title": "Some of the input is wrong",
    "status": 422,
    "detail": "title: This is required.",
    "instance": "/v1/notifications",
    "errors": [{"pointer": "/title", "code": "missing", "detail": "This is required."}],
}
BULK_RESULTS = [
    {"index": 0, "status": 201, "notification": {**NOTIFICATION, "transitions": [], "warnings": []}},
    {"index": 1, "status": 422, "problem": {**PROBLEM, "instance": "/v1/notifications/bulk"}},
]

EXAMPLES: dict[str, list[Any]] = {
    "NotificationCreate": [
        {"title": "Water the plants", "schedule": "daily"},
        {
            **{name: NOTIFICATION[name] for name in ("external_id", "title", "body", "data", "schedule")},
            "to": ["mailto:ada@example.com", "https://example.com/hook"],
        },
    ],
    "BulkCreate": [
        {
            "items": [
                {"external_id": "plants", "title": "Water the plants", "schedule": "daily"},
                {"external_id": "bins", "title": "Bins out", "schedule": "weekly", "to": ["log:"]},
            ]
        }
    ],
    "BulkCreated": [{"items": BULK_RESULTS, "created": 1, "failed": 1}],
    "NotificationUpdate": [{"title": "Water the ferns"}, {"schedule": CALENDAR}, {"external_id": None}],
    "NotificationPut": [{"title": "Water the plants", "schedule": NIGHTLY}],
    "NotificationRead": [NOTIFICATION],
    "NotificationSaved": [SAVED, NOTIFICATION],
    "NotificationPage": _page(NOTIFICATION),
    "Pause": [{"reason": "on holiday", "until": "2026-12-27T00:00:00Z"}, {"cancel_pending": True}],
    "Resume": [{"catch_up": True}],
    "ExceptionCreate": [
        MOVED,
        {"slot": "2026-12-24T08:00:00Z", "action": "skip"},
        {
            "slot": "2026-12-31T08:00:00Z",
            "action": "reword",
            "title": "Water the plants, and a happy new year",
        },
    ],
    "ExceptionRead": [EXCEPTION],
    "ExceptionList": _page(EXCEPTION),
    "SendNow": [{"reset_clock": False}],
    "DestinationCreate": [
        {"kind": "webhook", "name": "ops", "config": {"url": "https://example.com/hook"}},
        {"kind": "email", "config": {"to": ["ada@example.com"]}, "retry": {"schedule": [60, 600, 3600]}},
    ],
    "DestinationUpdate": [{"name": "night shift"}, {"status": "active"}, {"on_unknown": "hold"}],
    "DestinationRead": [DESTINATION],
    "DestinationCreated": [{**DESTINATION, "secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}],
    "DestinationPage": _page(DESTINATION),
    "DeliveryRead": [QUEUED],
    "DeliveryDetail": [{**DELIVERY, "attempts": [ATTEMPT]}],
    "DeliveryPage": _page(DELIVERY),
    "DeliveriesQueued": [{"deliveries": [QUEUED]}],
    "HeldDecision": [
        {"action": "release", "reason": "overdue"},
        {"action": "skip", "notification_id": PLANTS},
    ],
    "Decided": [{"count": 12}],
    "Resolution": [{"as": "delivered"}, {"as": "retry"}],
    "UnknownDecision": [{"as": "failed", "destination_id": OPS}],
    "Replay": [{}, {"as_new": True}],
    "ReplayMany": [
        {"destination_id": OPS, "since": NOON, "dry_run": True},
        {"status": "missed", "reason": "grace_exceeded", "notification_id": PLANTS},
        {"ids": [SENT]},
    ],
    "ReplayedMany": [{"count": 12, "left_out": {"under_way": 1}, "next_cursor": None}],
    "PreviewRequest": [{"schedule": NIGHTLY, "from": "2027-03-27T12:00:00Z", "count": 1}],
    "PreviewRead": [
        {
            "slots": [
                {"at": "2027-03-28T01:30:00Z", "local": "2027-03-28T03:30:00+02:00", "notes": [SHIFTED]}
            ],
            "transitions": [SPRING],
            "warnings": [],
        }
    ],
    "UpcomingRead": [{"slots": [SLOT]}],
    "Advance": [{"to": "2026-11-24T00:00:00Z"}, {"to": "2026-11-24T00:00:00Z", "down": True}],
    "Advanced": [{"now": "2026-11-24T00:00:00Z", "complete": True, "messages": [CAPTURED]}],
    "ProjectCreate": [{"name": "rehearsals", "mode": "test"}],
    "ProjectRead": [PROJECT],
    "OwnProject": [{**PROJECT, "events": [BAD_NEWS_TO_OPS]}],
    "OwnProjectUpdate": [
        {"events": [{"destination_id": OPS}]},
        {"events": [BAD_NEWS_TO_OPS]},
        {"events": []},
    ],
    "ProjectCreated": [{**PROJECT, "api_key": KEY_TEXT}],
    "ProjectPage": _page(PROJECT),
    "KeyCreate": [{"name": "deploy script", "scopes": ["read", "write"]}],
    "KeyRead": [KEY],
    "KeyCreated": [{**KEY, "key": KEY_TEXT}],
    "KeyPage": _page(KEY),
    "Alive": [{"status": "ok"}],
    "Readiness": [
        {
            "status": "ready",
            "checks": CHECKS,
            "seconds_since_sweep": 12.3,
            "lag_seconds": 0.0,
            "workers": 2,
        }
    ],
    "Problem": [PROBLEM],
}
