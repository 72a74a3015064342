"""The default project and the operator's key."""

from collections.abc import AsyncIterator

import pytest

from notifier.storage import access
from notifier.storage.engine import Database

KEY, NEXT_KEY = "ntf_first_key_of_the_operator", "ntf_second_key_of_the_operator"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Yield a pool on an empty, migrated database."""
    database = Database(database_url, pool_size=1)
    yield database
    await database.aclose()


async def test_the_bootstrap_key_opens_the_default_project(database: Database) -> None:
    async with database.transaction() as session:
        await access.ensure_default_project(session)
        await access.ensure_bootstrap_key(session, KEY)
        found = await access.find_key(session, KEY)
    assert found is not None
    assert (found.project_id, found.name) == (access.DEFAULT_PROJECT, "bootstrap")
    assert set(found.scopes) == {"read", "write", "admin"}
    assert found.now.tzinfo is not None


async def test_a_new_bootstrap_key_replaces_the_one_before_it(database: Database) -> None:
    async with database.transaction() as session:
        await access.ensure_default_project(session)
        for key in (KEY, KEY, NEXT_KEY):
            await access.ensure_default_project(session)
            await access.ensure_bootstrap_key(session, key)
        assert await access.find_key(session, KEY) is None
        assert await access.find_key(session, NEXT_KEY) is not None


@pytest.mark.parametrize("key", ["", "x", KEY + " ", KEY.upper(), "ä\x00"])
async def test_any_other_key_opens_nothing(database: Database, key: str) -> None:
    async with database.transaction() as session:
        await access.ensure_default_project(session)
        await access.ensure_bootstrap_key(session, KEY)
        assert await access.find_key(session, key) is None
