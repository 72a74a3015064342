"""Rows are given to a statement whole, however many of them are alike."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import DateTime, Integer, Text, text

from notifier.storage.arrays import Given
from notifier.storage.engine import Database

GIVEN = Given(own={"id": Integer, "name": Text}, shared={"at": DateTime(timezone=True), "why": Text})
READ = GIVEN.bind(text(f"SELECT id, name, at, why FROM {GIVEN.sql} AS given ORDER BY id"))
NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rows", "kinds"),
    [
        ([], 0),
        ([(1, "a", NOON, "late")], 1),
        ([(1, "a", NOON, None), (2, "b", NOON, None), (3, None, None, None)], 2),
        ([(n, "x", NOON.replace(minute=n), f"reason {n}") for n in range(50)], 50),
    ],
)
async def test_a_statement_reads_the_rows_that_it_is_given(
    database_url: str, rows: list[tuple[Any, ...]], kinds: int
) -> None:
    database = Database(database_url)
    parameters = GIVEN.parameters(rows)
    async with database.statement() as session:
        read = [tuple(row) for row in await session.execute(READ, parameters)]
    await database.aclose()
    assert read == rows
    assert len(parameters["given_why"]) == kinds
