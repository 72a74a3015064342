"""The stack that the service replaces: Celery prefork, a task and a commit per notification, ORM, requests.

`python -m benchmarks.peers.seed` is the scheduler: it enqueues one task for every row that is due, and prints
when it began. KEEP_ALIVE=1 shares one requests.Session, and drops what costs and is not needed.
"""

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import requests
from celery import Celery
from celery.signals import worker_ready
from requests.adapters import HTTPAdapter
from sqlalchemy import DateTime, create_engine, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.peers.message import THREADS, headers, payload

KEEP_ALIVE = "KEEP_ALIVE" in os.environ

app = Celery("seed", broker=os.environ["BROKER_URL"])
engine = create_engine(os.environ["DATABASE_URL"], pool_size=THREADS if KEEP_ALIVE else 5, max_overflow=0)
session = requests.Session()
if KEEP_ALIVE:
    app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=16, worker_send_task_events=False)
    session.mount("http://", HTTPAdapter(pool_maxsize=THREADS))


class Base(DeclarativeBase):
    """All tables."""

    type_annotation_map: ClassVar = {datetime: DateTime(timezone=True)}


class Message(Base):
    """A notification, as such applications have it."""

    __tablename__ = "messages"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    url: Mapped[str]
    title: Mapped[str]
    body: Mapped[str]
    data: Mapped[Any] = mapped_column(JSONB)
    next_due_at: Mapped[datetime]
    last_sent_at: Mapped[datetime | None]
    last_status: Mapped[int | None]


@worker_ready.connect  # type: ignore[untyped-decorator]
def say_ready(**_: object) -> None:
    """Tell the driver."""
    print("ready", flush=True)


@app.task(name="send")  # type: ignore[untyped-decorator]
def send(message_id: str) -> None:
    """Read the row, send it, move it on."""
    post = session.post if KEEP_ALIVE else requests.post
    with Session(engine) as database:
        message = database.get_one(Message, UUID(message_id))
        told = payload(message_id, message.title, message.body, message.data)
        answer = post(message.url, json=told, headers=headers(message_id), timeout=20)
        message.last_status = answer.status_code
        message.last_sent_at = datetime.now(UTC)
        message.next_due_at += timedelta(days=1)
        database.commit()


def schedule() -> None:
    """Enqueue a task for every row that is due."""
    print(f"began {time.time()}", flush=True)
    with Session(engine) as database:
        for message_id in database.scalars(
            select(Message.id).where(Message.next_due_at <= datetime.now(UTC))
        ):
            send.delay(str(message_id))


if __name__ == "__main__":
    schedule()
