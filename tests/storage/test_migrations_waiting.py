"""A migration often starts together with its database: it waits, but not for what waiting cannot mend."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from notifier.storage.engine import Database
from notifier.storage.migrations import wait_for


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """Yield a pool for `url` and close it at the end."""
    pool = Database(url, pool_size=1)
    try:
        yield pool
    finally:
        await pool.aclose()


async def a_free_port() -> int:
    """Return a port that nobody listens on."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


@asynccontextmanager
async def relayed(port: int, url: str) -> AsyncIterator[None]:
    """Have the database at `url`, which listens on a socket, answer on a port as well."""
    socket = f"{make_url(url).query['host']}/.s.PGSQL.5432"

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_database, to_database = await asyncio.open_unix_connection(socket)
        await asyncio.gather(copy(reader, to_database), copy(from_database, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", port):
        yield


def at(url: str, **changes: object) -> str:
    """Return `url` with parts of it changed."""
    return make_url(url).set(**changes).render_as_string(hide_password=False)  # type: ignore[arg-type]


async def test_it_goes_on_at_once_when_the_database_is_there(database_url: str) -> None:
    async with opened(database_url) as pool, asyncio.timeout(20):
        await wait_for(pool)


async def test_it_goes_on_as_soon_as_somebody_listens(database_url: str) -> None:
    port = await a_free_port()
    async with opened(at(database_url, host="127.0.0.1", port=port, query={})) as pool:
        with capture_logs() as lines:
            waiting = asyncio.create_task(wait_for(pool))
            while not lines:
                await asyncio.sleep(0.01)
        assert lines[0]["event"] == "database.awaited"
        async with relayed(port, database_url):
            async with asyncio.timeout(20):
                await waiting
            await pool.aclose()


async def test_it_gives_up_in_the_end() -> None:
    port = await a_free_port()
    async with opened(f"postgresql://nobody@127.0.0.1:{port}/nothing") as pool:
        with pytest.raises(OSError, match=r"refused|failed"):
            async with asyncio.timeout(20):
                await wait_for(pool, patience=0)


async def test_a_database_that_does_not_exist_is_an_error_at_once(database_url: str) -> None:
    async with opened(at(database_url, database="no_such_database")) as pool:
        with pytest.raises(DBAPIError, match="does not exist"):
            async with asyncio.timeout(20):
                await wait_for(pool)
