"""A database that is full of rows before a test looks at it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from notifier.storage.engine import Database
from tests import servers


@asynccontextmanager
async def filled_database(postgres_url: str, template: str, fill: str) -> AsyncIterator[Database]:
    """Yield a database that `fill`, a script in SQL, has filled; its statistics are fresh."""
    url = await servers.copy_database(postgres_url, template)
    await servers.execute(url, fill)
    await servers.execute(url, "VACUUM ANALYZE")
    database = Database(url, pool_size=1)
    yield database
    await database.aclose()
    await servers.drop_database(postgres_url, url)
