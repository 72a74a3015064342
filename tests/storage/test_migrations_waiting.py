"""A migration often starts together with its database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.engine import make_url

from notifier.storage.engine import Database
from notifier.storage.migrations import wait_for


async def a_free_port() -> int:
    """Return a port that nobody listens on."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


@asynccontextmanager
async def database(url: str) -> AsyncIterator[Database]:
    """Yield a pool for `url` and close it at the end."""
    pool = Database(url, pool_size=1)
    try:
        yield pool
    finally:
        await pool.aclose()


async def test_it_goes_on_at_once_when_the_database_is_there(database_url: str) -> None:
    async with database(database_url) as pool, asyncio.timeout(5):
        await wait_for(pool)
