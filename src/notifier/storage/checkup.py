"""SQL of `notifier doctor`: what the database tells of itself, and what the settings have to fit."""

from typing import Any

from sqlalchemy import Row, text

from notifier.storage.engine import Session

SERVER = text("""
SELECT current_setting('server_version') AS version, clock_timestamp() AS now,
  pg_database_size(current_database()) AS bytes,
  current_setting('transaction_read_only') = 'on' AS read_only,
  (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
  current_setting('max_connections')::int AS most_connections
""")

HAS_MAIL = text("SELECT EXISTS (SELECT FROM destinations WHERE kind = 'email' AND deleted_at IS NULL)")


async def server(session: Session) -> Row[Any]:
    """Return version, clock (UTC), size in bytes, whether it only reads, and its connections."""
    return (await session.execute(SERVER)).one()


async def has_mail_destinations(session: Session) -> bool:
    """Say whether any project sends mail."""
    return bool((await session.execute(HAS_MAIL)).scalar_one())
