"""A wired service for each test of the pipeline."""

from collections.abc import AsyncIterator

import pytest

from tests.house import House, open_house


@pytest.fixture
async def house(database_url: str, redis_url: str) -> AsyncIterator[House]:
    """Yield a wired service on a database and a queue of its own."""
    async with open_house(database_url, redis_url) as opened:
        yield opened
