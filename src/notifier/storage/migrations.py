"""Bring the database to the current schema; works from a checkout and from an installed wheel."""

import asyncio
from functools import cache
from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import String, column, select, table
from sqlalchemy.exc import DBAPIError

import notifier
from notifier.clock import monotonic
from notifier.observability import logs
from notifier.settings import Settings
from notifier.storage import access
from notifier.storage.engine import Database

log = structlog.get_logger(__name__)

PACKAGE = Path(notifier.__file__).parent
PATIENCE = 60.0
STARTING = ("57P03", "08001", "08003", "08006")
"""What PostgreSQL says while it starts, and what a connection says that it closed on."""
NO_SUCH_TABLE = "42P01"

_REVISION = select(column("version_num", String)).select_from(table("alembic_version"))


class SchemaMismatch(Exception):
    """The database's schema is not the one that this version of the code needs; the text says what to do."""


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


async def check_schema(database: Database) -> None:
    """Raise SchemaMismatch if the database lacks migrations of this version.

    A newer schema is let pass: while an upgrade rolls out, the version before goes on working on it.
    """
    revision = await _revision(database)
    newest, *older = _revisions()
    if revision is None or revision in older:
        has = f"has the schema {revision}" if revision else "has no schema"
        raise SchemaMismatch(f"the database {has}, this version needs {newest}: run `notifier migrate`")


def _refuse_newer(revision: str | None) -> None:
    newest, *older = _revisions()
    if revision not in (None, newest, *older):
        raise SchemaMismatch(
            f"the database has the schema {revision}, which this version does not know (it needs {newest}): "
            "install the newer version"
        )


async def _revision(database: Database) -> str | None:
    """Return the revision that the database has, None before the first migration."""
    try:
        async with database.transaction() as session:
            revision: str | None = (await session.execute(_REVISION)).scalar_one_or_none()
            return revision
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != NO_SUCH_TABLE:
            raise
    return None


@cache
def _revisions() -> tuple[str, ...]:
    """Return the revisions that come with this version, the newest first."""
    return tuple(script.revision for script in ScriptDirectory(str(location())).walk_revisions())


async def wait_for(database: Database, patience: float = PATIENCE) -> None:
    """Return when PostgreSQL lets us in; raise its error after `patience` seconds, or at once if it refuses.

    In a cluster this step often starts together with the server, and nothing else waits for it.
    """
    give_up = monotonic() + patience
    while True:
        try:
            async with database.transaction():
                return
        except (OSError, DBAPIError) as error:
            if not _is_starting(error) or monotonic() > give_up:
                raise
            log.info("database.awaited", error=repr(error))
        await asyncio.sleep(1)


def _is_starting(error: OSError | DBAPIError) -> bool:
    return isinstance(error, OSError) or getattr(error.orig, "sqlstate", None) in STARTING


async def _migrate(settings: Settings) -> None:
    key = settings.bootstrap_api_key
    database = Database(settings.database_url, pool_size=1)
    try:
        await wait_for(database)
        _refuse_newer(await _revision(database))
        await upgrade(settings.database_url)
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
    try:
        asyncio.run(_migrate(settings))
    except (OSError, DBAPIError, CommandError, SchemaMismatch) as error:
        log.critical("migration.failed", error=str(getattr(error, "orig", error)))
        raise SystemExit(1) from error
