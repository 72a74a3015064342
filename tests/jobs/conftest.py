"""An empty queue with workers that a test hires."""

import pytest

from tests.jobs.crew import Crew


@pytest.fixture
def crew(redis_url: str) -> Crew:
    """Return a crew without workers yet, on an empty queue."""
    return Crew(redis_url)
