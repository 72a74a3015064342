"""What tests of several channels share."""

from collections.abc import AsyncIterator

import pytest

from tests.receivers import HttpReceiver, http_receiver


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as running:
        yield running
