"""Servers that a test may harm, and what harms them."""

from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from notifier.storage.migrations import upgrade
from tests import servers
from tests.faults.servers import OwnPostgres, own_postgres
from tests.processes import OwnValkey, own_valkey, until


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[OwnPostgres]:
    """Yield a migrated PostgreSQL with few connections, that may be harmed."""
    with own_postgres(tmp_path / "postgres", "max_connections=25", "fsync=off") as opened:
        servers.run_apart(upgrade(opened.url))
        yield opened


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[OwnValkey]:
    """Yield a Valkey that may be harmed."""
    with own_valkey(tmp_path / "valkey") as opened:
        yield opened


async def set_read_only(postgres: OwnPostgres, value: str) -> None:
    """Have every transaction that begins from now on only read, or write again."""
    await servers.execute(postgres.url, f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    await servers.execute(postgres.url, "SELECT pg_reload_conf()")

    async def holds() -> bool:
        connection = await asyncpg.connect(postgres.url)
        found = await connection.fetchval("SHOW default_transaction_read_only")
        await connection.close()
        return bool(found == value)

    await until(holds)
