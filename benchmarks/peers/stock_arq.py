"""arq as it comes: a job and a commit per notification, asynchronous ORM, one shared aiohttp session.

`python -m benchmarks.peers.stock_arq` is the scheduler; `... worker` the worker. Runs in our own environment.
"""

import asyncio
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import aiohttp
from arq import create_pool, run_worker
from arq.connections import RedisSettings
from sqlalchemy import DateTime, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.peers.message import headers, payload

SERVER = RedisSettings(
    unix_socket_path=os.environ["REDIS_SOCKET"], database=int(os.environ.get("REDIS_DATABASE", "0"))
)
engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=10)


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


async def send(ctx: dict[str, Any], message_id: str) -> None:
    """Read the row, send it, move it on."""
    async with AsyncSession(engine) as database:
        message = await database.get_one(Message, UUID(message_id))
        told = payload(message_id, message.title, message.body, message.data)
        async with ctx["http"].post(message.url, json=told, headers=headers(message_id)) as answer:
            message.last_status = answer.status
        message.last_sent_at = datetime.now(UTC)
        message.next_due_at += timedelta(days=1)
        await database.commit()


async def open_(ctx: dict[str, Any]) -> None:
    """Open the session that all jobs share."""
    ctx["http"] = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
    print("ready", flush=True)


async def close(ctx: dict[str, Any]) -> None:
    """Close it."""
    await ctx["http"].close()


class Worker:
    """arq's settings, all as they come."""

    redis_settings = SERVER
    functions = (send,)
    on_startup = open_
    on_shutdown = close


async def schedule() -> None:
    """Enqueue a job for every row that is due."""
    pool = await create_pool(SERVER)
    print(f"began {time.time()}", flush=True)
    async with AsyncSession(engine) as database:
        due = select(Message.id).where(Message.next_due_at <= datetime.now(UTC))
        for message_id in await database.scalars(due):
            await pool.enqueue_job("send", str(message_id))
    await pool.aclose()


if __name__ == "__main__":
    if "worker" in sys.argv:
        run_worker(Worker)  # type: ignore[arg-type]
    else:
        asyncio.run(schedule())
