"""The API's three calls as Flask with synchronous SQLAlchemy answers them, on the service's own tables.

Does what such an application does and no more: looks the key up, validates the body, reads or writes the rows
in one transaction and answers with the same fields. It renders no templates and works out no schedules.
Run by gunicorn, with `DATABASE_URL` (postgresql+psycopg2) and `THREADS` in the environment.
"""

import hashlib
import os
import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from flask import Flask, Response, g, jsonify, request
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from sqlalchemy import FetchedValue, ForeignKeyConstraint, Uuid, create_engine, select
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, TEXT, TIMESTAMP
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    joinedload,
    mapped_column,
    relationship,
    scoped_session,
    selectinload,
    sessionmaker,
)

engine = create_engine(os.environ["DATABASE_URL"], pool_size=int(os.environ.get("THREADS", "1")))
session = scoped_session(sessionmaker(engine, expire_on_commit=False))
app = Flask(__name__)


class Base(DeclarativeBase):
    """The service's tables, as far as the three calls need them."""

    type_annotation_map = {  # noqa: RUF012
        datetime: TIMESTAMP(timezone=True),
        dict[str, Any]: JSONB,
        uuid.UUID: Uuid,
        bytes: BYTEA,
        list[str]: ARRAY(TEXT),
    }


class ApiKey(Base):
    """A key."""

    __tablename__ = "api_keys"
    project_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    key_hash: Mapped[bytes]
    scopes: Mapped[list[str]]
    revoked_at: Mapped[datetime | None]


class Destination(Base):
    """Where messages go."""

    __tablename__ = "destinations"
    project_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]


class Use(Base):
    """A destination of a notification."""

    __tablename__ = "notification_destinations"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "notification_id"], ["notifications.project_id", "notifications.id"]
        ),
        ForeignKeyConstraint(
            ["project_id", "destination_id"], ["destinations.project_id", "destinations.id"]
        ),
    )
    project_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    notification_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    destination_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    position: Mapped[int]


class Revision(Base):
    """One state of a notification's content."""

    __tablename__ = "notification_revisions"
    project_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    notification_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    body: Mapped[str]
    data: Mapped[dict[str, Any]]
    schedule: Mapped[dict[str, Any]]
    changed_by: Mapped[str]


class Notification(Base):
    """The recurring thing."""

    __tablename__ = "notifications"
    project_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    external_id: Mapped[str | None]
    title: Mapped[str]
    body: Mapped[str]
    data: Mapped[dict[str, Any]]
    schedule: Mapped[dict[str, Any]]
    anchor_at: Mapped[datetime]
    drift_seconds: Mapped[int | None]
    next_due_at: Mapped[datetime | None]
    last_delivered_at: Mapped[datetime | None]
    paused_at: Mapped[datetime | None]
    pause_reason: Mapped[str | None]
    paused_by: Mapped[str | None]
    paused_until: Mapped[datetime | None]
    blocked_reason: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default=FetchedValue())
    revision: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    destinations: Mapped[list[Destination]] = relationship(
        secondary="notification_destinations", order_by="Use.position", viewonly=True
    )


class Draft(BaseModel):
    """What a POST may hold."""

    model_config = ConfigDict(extra="forbid", strict=True)
    title: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"\S")]
    body: Annotated[str, StringConstraints(max_length=65536)] = ""
    data: dict[str, Any] = {}
    schedule: Literal["daily", "weekly"]
    to: list[str]
    external_id: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None


@app.before_request
def authenticate() -> tuple[Response, int] | None:
    """Look the key up."""
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    key_hash = hashlib.sha256(given.encode()).digest()
    statement = select(ApiKey).where(ApiKey.key_hash == key_hash, ApiKey.revoked_at.is_(None))
    key = session.scalars(statement).one_or_none()
    if key is None or not {"write", "admin"} & set(key.scopes):
        return jsonify(title="Unauthorized"), 401
    g.project_id = key.project_id
    return None


@app.teardown_appcontext
def let_go(_error: BaseException | None) -> None:
    """Give the connection back."""
    session.remove()


@app.get("/v1/notifications/<uuid:notification_id>")
def get(notification_id: uuid.UUID) -> Any:
    """Answer with one notification."""
    key = (g.project_id, notification_id)
    row = session.get(Notification, key, options=[joinedload(Notification.destinations)])
    return as_json(row) if row else (jsonify(title="Not found"), 404)


@app.get("/v1/notifications")
def page() -> Any:
    """Answer with a page, newest first."""
    limit = min(int(request.args.get("limit", "50")), 100)
    statement = (
        select(Notification)
        .where(Notification.project_id == g.project_id, Notification.status != "deleted")
        .order_by(Notification.id.desc())
        .limit(limit + 1)
        .options(selectinload(Notification.destinations))
    )
    rows = session.scalars(statement).all()
    items = [as_json(row) for row in rows[:limit]]
    return {"items": items, "next_cursor": items[-1]["id"] if len(rows) > limit else None}


@app.post("/v1/notifications")
def create() -> Any:
    """Store a notification."""
    try:
        draft = Draft.model_validate_json(request.get_data())
    except ValidationError as error:
        return jsonify(title="Invalid", errors=error.errors(include_context=False)), 422
    found = destinations_of(draft.to)
    row = notification_of(draft)
    session.add(row)
    session.flush()
    session.add(Revision(**revision_of(row)))
    ids = {"project_id": row.project_id, "notification_id": row.id}
    session.add_all(Use(**ids, destination_id=one.id, position=n) for n, one in enumerate(found))
    session.commit()
    return as_json(row, found), 201, {"Location": f"/v1/notifications/{row.id}"}


def destinations_of(to: list[str]) -> list[Destination]:
    """Return the destinations with these ids."""
    ids = [uuid.UUID(one) for one in to]
    statement = select(Destination).where(Destination.project_id == g.project_id, Destination.id.in_(ids))
    return list(session.scalars(statement))


def notification_of(draft: Draft) -> Notification:
    """Return a new row: due one period from now."""
    now = datetime.now(UTC)
    period = timedelta(days=1 if draft.schedule == "daily" else 7)
    return Notification(
        project_id=g.project_id,
        id=uuid.uuid4(),
        **draft.model_dump(exclude={"to", "schedule"}),
        schedule={"kind": "interval", "every": draft.schedule, "anchor": "delivered"},
        anchor_at=now,
        drift_seconds=int(period.total_seconds()),
        next_due_at=now + period,
        revision=1,
        created_at=now,
        updated_at=now,
    )


def revision_of(row: Notification) -> dict[str, Any]:
    """Return what the history keeps of a row."""
    content = {name: getattr(row, name) for name in ("title", "body", "data", "schedule", "revision")}
    return {"project_id": row.project_id, "notification_id": row.id, "changed_by": "flask", **content}


PLAIN = (
    "external_id",
    "title",
    "body",
    "data",
    "schedule",
    "status",
    "pause_reason",
    "paused_by",
    "blocked_reason",
    "revision",
)
INSTANTS = ("paused_at", "paused_until", "next_due_at", "last_delivered_at", "created_at", "updated_at")


def as_json(row: Notification, destinations: list[Destination] | None = None) -> dict[str, Any]:
    """Return the answer's fields."""
    targets = row.destinations if destinations is None else destinations
    return {
        "id": str(row.id),
        **{name: getattr(row, name) for name in PLAIN},
        **{name: instant(getattr(row, name)) for name in INSTANTS},
        "destinations": [{"id": str(one.id), "kind": one.kind, "name": one.name} for one in targets],
    }


def instant(at: datetime | None) -> str | None:
    """Return an instant as text, in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None
