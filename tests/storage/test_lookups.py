"""Rows found by a key: asked for at the same moment, read together, and each as it is just now."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import event, text

from notifier.clock import new_id
from notifier.storage import access
from notifier.storage.engine import Clock, Database

HERE = access.DEFAULT_PROJECT
KEYS = [f"ntf_key_{number}" for number in range(30)]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Yield a pool on a database with a project that has some keys."""
    database = Database(database_url, pool_size=3)
    async with database.transaction() as session:
        await access.ensure_default_project(session)
        for key in KEYS:
            values = {"project_id": HERE, "id": UUID(int=KEYS.index(key)), "name": key, "scopes": ["read"]}
            await access.add_key(session, values, key)
    yield database
    await database.aclose()


def statements_of(database: Database) -> list[str]:
    """Return a list that grows with each statement from here on."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        found.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    return found


async def names(database: Database, keys: list[str]) -> list[str | None]:
    found = await asyncio.gather(*(access.find_key(database.reading(), key) for key in keys))
    return [row and row.name for row in found]


async def test_what_is_asked_for_at_once_is_read_by_one_statement(database: Database) -> None:
    statements = statements_of(database)
    assert await names(database, KEYS) == KEYS
    assert len(statements) == 1


async def test_each_gets_its_own_row_whatever_the_others_ask_for(database: Database) -> None:
    asked = [KEYS[3], "unknown", KEYS[1], KEYS[3], ""]
    assert await names(database, asked) == [KEYS[3], None, KEYS[1], KEYS[3], None]


async def test_more_than_one_statement_may_hold_are_all_found(database: Database) -> None:
    assert await names(database, KEYS * 9) == KEYS * 9


async def test_what_was_changed_is_seen_by_all_who_ask_afterwards(database: Database) -> None:
    stop = asyncio.Event()

    async def keep_asking() -> None:
        while not stop.is_set():
            await names(database, KEYS)

    busy = [asyncio.create_task(keep_asking()) for _ in range(3)]
    for number, key in enumerate(KEYS):
        async with database.transaction() as session:
            assert await access.revoke_key(session, HERE, UUID(int=number))
        assert await names(database, [key]) == [None]
    stop.set()
    await asyncio.gather(*busy)


async def test_one_who_goes_away_takes_nothing_from_the_others(database: Database) -> None:
    gone, stays = (asyncio.create_task(names(database, [key])) for key in KEYS[:2])
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == [KEYS[1]]


async def test_by_a_clock_of_its_own_a_session_reads_alone(database: Database) -> None:
    live = (await access.find_key(database.reading(), KEYS[0])).now  # type: ignore[union-attr]
    session = database.reading()
    await session.follow(Clock(new_id(), live.replace(year=2040)))
    statements = statements_of(database)
    assert (await access.find_key(session, KEYS[0])) is not None
    assert any("set_config" in one for one in statements)


async def test_it_is_planned_once_for_all(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    for _ in range(20):
        await access.find_key(database.reading(), KEYS[0])
    planned = text(
        "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE :ours"
    )
    (plans,) = await database.reading().execute(planned, {"ours": "%unnest(%"})
    # PostgreSQL tries five times
    assert plans == (15, 5)
    await database.aclose()
