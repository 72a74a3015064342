"""What tests of several channels share."""

from collections.abc import AsyncIterator

import pytest

from notifier.channels.webhook import WebhookChannel
from tests.channels.samples import settings
from tests.receivers import HttpReceiver, http_receiver


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as running:
        yield running


@pytest.fixture
async def channel() -> AsyncIterator[WebhookChannel]:
    """Yield webhooks with a short time-out."""
    made = WebhookChannel(settings(webhook_timeout=1.0))
    yield made
    await made.aclose()
