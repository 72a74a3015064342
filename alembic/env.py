"""Alembic's entry point: run by `notifier migrate`, by tests, and by the `alembic` command."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from notifier.settings import Settings
from notifier.storage.engine import async_url
from notifier.storage.tables import metadata

MIGRATION_LOCK = 0x6E6F7469  # two migrations at once wait for each other


def database_url() -> str:
    """Return the URL given by the caller, else the one of the settings."""
    return context.config.attributes.get("database_url") or Settings().database_url  # type: ignore[call-arg]


def run(connection: Connection) -> None:
    """Run the migrations in one transaction; fail fast rather than queue behind a long lock.

    Another migration is no such lock: it may take its time, and then there is nothing left to do.
    """
    connection.execute(text("SET lock_timeout = 0"))
    connection.execute(text(f"SELECT pg_advisory_lock({MIGRATION_LOCK})"))
    connection.execute(text("SET lock_timeout = '10s'"))
    connection.commit()
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


async def main() -> None:
    """Connect and run."""
    engine = create_async_engine(async_url(database_url()), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()


asyncio.run(main())
