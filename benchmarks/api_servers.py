"""The servers that the API benchmark asks: each one process, all on the same tables."""

import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.due_rows import DRAFT, call, copy, free_port
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
    made = call(f"http://{HOST}:{port}", "POST", "/v1/notifications", DRAFT)
    copy(servers, DATABASE, count - 1)
    rows = servers.sql(DATABASE, "SELECT id FROM notifications ORDER BY random() LIMIT 1000")
    return Stock(made["destinations"][0]["id"], [str(row["id"]) for row in rows])


def check_alike(ports: Mapping[str, int], stored: Stock) -> None:
    """Raise AssertionError unless all answer with the same fields and, but for the limit, the same values."""
    one, many = f"/v1/notifications/{stored.notification_ids[0]}", "/v1/notifications?limit=50"
    ours = f"http://{HOST}:{ports['ours']}"
    for name, port in ports.items():
        theirs = f"http://{HOST}:{port}"
        told = call(theirs, "GET", one)
        assert told.keys() == call(ours, "GET", one).keys(), f"{name} answers with other fields"
        if name != "limit":
            assert told == call(ours, "GET", one), f"{name} answers with other values"
            assert call(theirs, "GET", many)["items"] == call(ours, "GET", many)["items"], (
                f"{name} lists others"
            )


def answers(port: int) -> bool:
    """Say whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
