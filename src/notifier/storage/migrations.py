"""Bring the database to the current schema; works from a checkout and from an installed wheel."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config

import notifier
from notifier.observability import logs
from notifier.settings import Settings
from notifier.storage import access
from notifier.storage.engine import Database

PACKAGE = Path(notifier.__file__).parent


def location() -> Path:
    """Return the folder of the migrations: `alembic/` of the checkout, else the copy in the wheel."""
    checkout = PACKAGE.parents[1] / "alembic"
    return checkout if (checkout / "env.py").exists() else PACKAGE / "migrations"


def config(database_url: str) -> Config:
    """Return Alembic's configuration for this database."""
    settings = Config()
    settings.set_main_option("script_location", str(location()).replace("%", "%%"))
    settings.attributes["database_url"] = database_url
    return settings


async def upgrade(database_url: str) -> None:
    """Apply all migrations that are missing. Alembic runs a loop of its own, hence the thread."""
    await asyncio.to_thread(command.upgrade, config(database_url), "head")


async def _migrate(settings: Settings) -> None:
    await upgrade(settings.database_url)
    key = settings.bootstrap_api_key
    database = Database(settings.database_url, pool_size=1)
    try:
        async with database.transaction() as session:
            await access.ensure_default_project(session)
            if key is not None:
                await access.ensure_bootstrap_key(session, key.get_secret_value())
    finally:
        await database.aclose()


def run() -> None:
    """Migrate, then make sure of the default project and of the operator's key."""
    settings = Settings()
    logs.configure(log_format=settings.log_format, level=settings.log_level)
    asyncio.run(_migrate(settings))
