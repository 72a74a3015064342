"""The servers that the API benchmark asks: each one process, all on the same tables."""

import json
import socket
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.servers import API_KEY, PEERS_PYTHON, Servers, wait_until
from notifier.embedded.child import Child

HOST = "127.0.0.1"
DATABASE = "api"
THREADS = 4
AUTHORIZED = {"Authorization": f"Bearer {API_KEY}"}
LIMIT = (
    "--host",
    HOST,
    "--loop",
    "uvloop",
    "--http",
    "httptools",
    "--no-access-log",
    "--log-level",
    "warning",
)
GUNICORN = {
    "flask, sync": ("--worker-class", "sync"),
    "flask, gthread": ("--worker-class", "gthread", "--threads", THREADS, "--keep-alive", 75),
}

COPY = """
INSERT INTO notifications
    (project_id, id, title, body, data, schedule, anchor_at, drift_seconds, next_due_at, updated_at)
SELECT project_id, uuidv7(), title, body, data, schedule, anchor_at, drift_seconds, next_due_at, updated_at
FROM notifications, generate_series(2, {count});
INSERT INTO notification_revisions
    (project_id, notification_id, revision, title, body, data, schedule, changed_by)
SELECT project_id, id, revision, title, body, data, schedule, 'benchmark' FROM notifications
ON CONFLICT DO NOTHING;
INSERT INTO notification_destinations (project_id, notification_id, destination_id, position)
SELECT n.project_id, n.id, d.id, 0 FROM notifications AS n, destinations AS d ON CONFLICT DO NOTHING;
VACUUM ANALYZE
"""
PLANTS: dict[str, Any] = {
    "title": "Water the plants",
    "body": "Hi {{ name }}, it is {{ slot.local_date }}.",
    "data": {"name": "Ada"},
    "schedule": "daily",
}


@dataclass(frozen=True, slots=True)
class Stock:
    """What is in the tables to be asked for."""

    destination_id: str
    notification_ids: list[str]


@contextmanager
def contestants(servers: Servers) -> Iterator[dict[str, int]]:
    """Yield the port of each contestant, all up: ours, the limit and, if the peers are installed, Flask."""
    started: dict[str, tuple[Child, int]] = {}
    for name in ("ours", "limit", *(GUNICORN if PEERS_PYTHON.exists() else ())):
        port = free_port()
        started[name] = (_start(servers, name, port), port)
    for child, port in started.values():
        wait_until(lambda port=port: answers(port), of=child)  # type: ignore[misc]
    try:
        yield {name: port for name, (_, port) in started.items()}
    finally:
        servers.stop(*(child for child, _ in started.values()))


def _start(servers: Servers, name: str, port: int) -> Child:
    if name == "ours":
        return servers.service("api", DATABASE, PORT=port)
    if name == "limit":
        app = "benchmarks.peers.fastapi_app:app"
        return servers.start(name, [sys.executable, "-m", "uvicorn", app, "--port", port, *LIMIT])
    # a line in the log for each request, as ours writes one
    log = ("--workers", 1, "--access-logfile", "-", "--bind", f"{HOST}:{port}")
    url = servers.database_url(DATABASE).replace("postgresql:", "postgresql+psycopg2:", 1)
    env = {"DATABASE_URL": url, "THREADS": str(THREADS)}
    return servers.peer(
        name, ["-m", "gunicorn", *log, *GUNICORN[name], "benchmarks.peers.flask_app:app"], env
    )


def stock(servers: Servers, port: int, count: int) -> Stock:
    """Make one notification as users do and copy it until there are `count`."""
    made = ask(port, "/v1/notifications", PLANTS)
    for statement in COPY.format(count=count).split(";"):
        servers.sql(DATABASE, statement)
    rows = servers.sql(DATABASE, "SELECT id FROM notifications ORDER BY random() LIMIT 1000")
    return Stock(made["destinations"][0]["id"], [str(row["id"]) for row in rows])


def ask(port: int, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """Return the answer to a GET or, with a body, a POST; raises OSError if it is none."""
    data = json.dumps(body).encode() if body is not None else None
    headers = AUTHORIZED | {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{HOST}:{port}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def answers(port: int) -> bool:
    """Say whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])
