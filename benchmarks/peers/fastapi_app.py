"""The upper limit of our stack: FastAPI answers with one notification without looking anywhere for it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Destination(BaseModel):
    """A destination of a notification."""

    id: UUID
    kind: str
    name: str


class Notification(BaseModel):
    """The fields of the service's answer."""

    id: UUID
    external_id: str | None
    title: str
    body: str
    data: dict[str, Any]
    schedule: dict[str, Any]
    destinations: list[Destination]
    status: str
    paused_at: datetime | None
    pause_reason: str | None
    paused_by: str | None
    paused_until: datetime | None
    blocked_reason: str | None
    next_due_at: datetime | None
    last_delivered_at: datetime | None
    revision: int
    created_at: datetime
    updated_at: datetime


AT = "2026-11-23T09:00:00+00:00"
ROW = {
    **dict.fromkeys(Notification.model_fields),
    "title": "Water the plants",
    "body": "Hi {{ name }}, it is {{ slot.local_date }}.",
    "data": {"name": "Ada"},
    "schedule": {"kind": "interval", "every": "daily", "anchor": "delivered"},
    "destinations": [{"id": UUID(int=2), "kind": "log", "name": "log"}],
    "status": "active",
    "revision": 1,
    **{name: datetime.fromisoformat(AT) for name in ("next_due_at", "created_at", "updated_at")},
}


@app.get("/v1/notifications/{notification_id}")
async def get(notification_id: UUID) -> Notification:
    """Answer with a notification made up on the spot."""
    return Notification.model_validate({**ROW, "id": notification_id})
