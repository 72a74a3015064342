"""Notifications that are due, in any number: the first ones made over the API, the others copied in SQL."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.servers import API_KEY, Servers, wait_until
from notifier.clock import utc_now
from notifier.embedded.checks import answers

DRAFT = {
    "title": "Water the plants, {{ name }}",
    "body": "It is {{ slot.local_date }}: the ficus and the fern are thirsty again.",
    "data": {"name": "Ada", "plants": ["ficus", "fern"]},
    "schedule": "daily",
}
COPIED = {
    # table: the column that names the notification
    "notifications": "id",
    "notification_revisions": "notification_id",
    "notification_destinations": "notification_id",
}


def make_due(servers: Servers, database: str, urls: Sequence[str], count: int) -> None:
    """Make a migrated database with `count` notifications that are due now, evenly over the addresses."""
    servers.make_database(database)
    servers.migrate(database)
    start = utc_now().isoformat()
    with open_api(servers, database) as api:
        for url in urls:
            call(api, "POST", "/v1/notifications", {**DRAFT, "start_at": start, "to": [url]})
    copy(servers, database, count // len(urls) - 1)


def copy(servers: Servers, database: str, times: int) -> None:
    """Copy every notification that often, with its revision and its destinations."""
    servers.sql(
        database,
        "CREATE TABLE copies AS SELECT n.id AS original, uuidv7() AS copy"
        f" FROM notifications AS n, generate_series(1, {times})",
    )
    for table, key in COPIED.items():
        others = ", ".join(_columns(servers, database, table, key))
        servers.sql(
            database,
            f"INSERT INTO {table} ({key}, {others})"
            f" SELECT copies.copy, {others} FROM {table} JOIN copies ON {table}.{key} = copies.original",
        )
    servers.sql(database, "DROP TABLE copies")
    servers.sql(database, "VACUUM ANALYZE")


def _columns(servers: Servers, database: str, table: str, key: str) -> list[str]:
    rows = servers.sql(
        database,
        f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}'"
        f" AND is_generated = 'NEVER' AND column_name <> '{key}'",
    )
    return [f'"{row[0]}"' for row in rows]


@contextmanager
def open_api(servers: Servers, database: str) -> Iterator[str]:
    """Yield the address of a running API."""
    port = free_port()
    child = servers.service("api", database, HOST="127.0.0.1", PORT=port)
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), of=child)
        yield f"http://127.0.0.1:{port}"
    finally:
        servers.stop(child)


def call(api: str, method: str, path: str, body: Any = None) -> Any:
    """Call the API as its administrator; return the answer."""
    request = urllib.request.Request(api + path, json.dumps(body).encode() if body else None, method=method)
    request.add_header("Authorization", f"Bearer {API_KEY}")
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {path}: {error.code} {error.read()!r}") from error


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
