"""Which errors of the database are its own, and that no value of a user stands in any of them."""

import traceback
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from notifier.storage.engine import Database
from notifier.storage.failures import is_away
from notifier.storage.tables import projects

SECRET = "hush-hush"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Yield a database of this test's own."""
    opened = Database(database_url, pool_size=1)
    yield opened
    await opened.aclose()


async def failure(database: Database, *statements: Any) -> DBAPIError:
    """Return the error with which a transaction of these statements ends."""
    with pytest.raises(DBAPIError) as failed:  # noqa: PT012 - which statement fails is what is asked
        async with database.transaction() as session:
            for statement in statements:
                await session.execute(text(statement) if isinstance(statement, str) else statement)
    return failed.value


@pytest.mark.parametrize(
    ("state", "away"),
    [
        ("53100", True),  # the disk is full
        ("53200", True),  # out of memory
        ("53300", True),  # too many connections
        ("25006", True),  # read-only: a standby, or set so
        ("57P03", True),  # it is starting
        ("57014", True),  # the statement took too long
        ("55P03", True),  # a lock was not to be had
        ("40P01", True),  # a deadlock
        ("58030", True),  # its disk cannot be read
        ("XX000", True),  # its own bug
        ("42501", True),  # we may not do this
        ("22012", False),  # we divide by zero
        ("23505", False),  # we write what is there
        ("42601", False),  # we cannot write SQL
    ],
)
async def test_a_state_is_the_database_s_or_ours(database: Database, state: str, away: bool) -> None:
    error = await failure(database, f"DO $$ BEGIN RAISE 'x' USING ERRCODE = '{state}'; END $$")
    assert is_away(error) is away


@pytest.mark.parametrize(
    ("statement", "away"),
    [("SELECT 1 FROM no_such_table", True), ("SELECT no_such_function()", True), ("SELEC 1", False)],
)
async def test_another_schema_is_the_database_s(database: Database, statement: str, away: bool) -> None:
    assert is_away(await failure(database, statement)) is away


def a_project(**values: Any) -> Any:
    return insert(projects).values(**{"id": uuid4(), "name": SECRET, "mode": "live", **values})


@pytest.mark.parametrize(
    "statements",
    [
        ("ALTER TABLE projects ADD CONSTRAINT one UNIQUE (name)", a_project(), a_project()),
        (a_project(mode="no such mode"),),
        (text("SELECT CAST(:id AS uuid)").bindparams(id=SECRET),),
        (text("SELECT CAST(:id AS int)").bindparams(id=SECRET),),
    ],
    ids=["unique", "check", "id", "number"],
)
async def test_no_value_stands_in_an_error_nor_in_what_it_came_from(
    database: Database, statements: tuple[Any, ...]
) -> None:
    error = await failure(database, *statements)
    written = "".join(traceback.format_exception(error)) + repr(error)
    assert SECRET not in written
    assert "asyncpg" in written
