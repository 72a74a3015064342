"""Transactions: committed at the end or not at all, and what follows a commit."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import DBAPIError

from notifier.storage.engine import Database, async_url
from notifier.storage.tables import projects


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Yield a pool on an empty, migrated database."""
    database = Database(database_url, pool_size=2)
    yield database
    await database.aclose()


async def count(database: Database) -> int:
    async with database.transaction() as session:
        return int((await session.execute(select(func.count()).select_from(projects))).scalar_one())


def a_project() -> object:
    return insert(projects).values(id=uuid4(), name="test", mode="live")


async def test_a_transaction_is_committed_at_its_end(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(a_project())
        assert await count(database) == 0
    assert await count(database) == 1


async def test_an_error_leaves_nothing_and_rings_for_nothing(database: Database) -> None:
    rung: list[str] = []

    async def ring() -> None:
        rung.append("rung")

    async def fail_in_the_middle() -> None:
        async with database.transaction() as session:
            await session.execute(a_project())
            session.after_commit(ring)
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        await fail_in_the_middle()
    assert await count(database) == 0
    assert rung == []


async def test_a_cancelled_transaction_leaves_nothing(database: Database) -> None:
    began = asyncio.Event()

    async def work() -> None:
        async with database.transaction() as session:
            await session.execute(a_project())
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await count(database) == 0


async def test_hooks_run_after_the_commit_and_the_error_of_one_ends_no_other(database: Database) -> None:
    seen: list[int] = []

    async def fail() -> None:
        raise ConnectionError("Redis is away")

    async def look() -> None:
        seen.append(await count(database))

    async with database.transaction() as session:
        await session.execute(a_project())
        session.after_commit(fail)
        session.after_commit(look)
    assert seen == [1]


async def test_an_error_of_sql_does_not_show_the_values(database: Database) -> None:
    with pytest.raises(DBAPIError) as failed:
        async with database.transaction() as session:
            await session.execute(insert(projects).values(id=uuid4(), name="hush-hush", mode="no such mode"))
    assert "hush-hush" not in str(failed.value).split("DETAIL")[0]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p%40ss@h:5432/d",
        "postgres://u:p%40ss@h:5432/d",
        "postgresql+asyncpg://u:p%40ss@h:5432/d",
    ],
)
def test_every_form_of_address_leads_to_the_driver(url: str) -> None:
    assert async_url(url) == "postgresql+asyncpg://u:p%40ss@h:5432/d"
