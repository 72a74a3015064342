"""A wired service for each test of the pipeline."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.house import House, open_house
from tests.pipeline.timeline import Timeline, utc

Begin = Callable[[str], Awaitable[Timeline]]


@pytest.fixture
async def house(database_url: str, redis_url: str) -> AsyncIterator[House]:
    """Yield a wired service on a database and a queue of its own."""
    async with open_house(database_url, redis_url) as opened:
        yield opened


@pytest.fixture
def begin(house: House) -> Begin:
    """Return what makes a test project whose clock begins at an instant."""

    async def begin(at: str) -> Timeline:
        timeline = Timeline(house, utc(at))
        await timeline.open()
        return timeline

    return begin
