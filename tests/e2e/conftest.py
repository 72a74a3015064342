"""The whole service for one test: its own database, its own Valkey, its own processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import OwnValkey, Roles, open_roles, own_valkey


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[OwnValkey]:
    """Yield a Valkey of the test's own."""
    with own_valkey(tmp_path / "valkey") as opened:
        yield opened


@pytest.fixture
def roles(tmp_path: Path, database_url: str, valkey: OwnValkey) -> Iterator[Roles]:
    """Yield the service's processes, none started yet, on a migrated database."""
    with open_roles(tmp_path / "roles", database_url, valkey.url) as opened:
        opened.run("migrate")
        yield opened
