"""The HTTP API, one process each: GET one, a list of 50, POST; ours, Flask's, and FastAPI without a database.

All are up at once on the same tables and take turns; the load is 32 connections that ask anew when answered.
Ours reads what is asked for at the same moment with one statement, which helps nobody who asks alone: so GET
is measured with one connection, too.
Flask runs under gunicorn with the `sync` and with the `gthread` worker, and the faster of the two counts. The
limit is what FastAPI and uvicorn do at most: the same answer, from nowhere, for anybody.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from statistics import median
from typing import Any

from benchmarks.api_servers import (
    AUTHORIZED,
    DATABASE,
    GUNICORN,
    HOST,
    Stock,
    check_alike,
    contestants,
    stock,
)
from benchmarks.due_rows import DRAFT
from benchmarks.parts import Run
from benchmarks.rounds import Figure, in_turns, middle, ratio
from benchmarks.servers import open_servers

EXPECTED = {"get": "200", "get_alone": "200", "list": "200", "post": "201"}
PACKAGES = ("fastapi", "uvicorn", "flask", "gunicorn", "sqlalchemy", "psycopg2-binary")

Measured = dict[tuple[str, str], list[dict[str, Any]]]
"""By contestant and call: what the load generator found, in each round."""


def measure(run: Run) -> None:
    """Measure the three calls of all contestants, in turns."""
    with open_servers() as servers:
        servers.make_database(DATABASE)
        servers.migrate(DATABASE)
        with contestants(servers) as ports:
            stored = stock(servers, ports["ours"], run.pick(10_000, 100))
            check_alike(ports, stored)
            measured = in_rounds(run, ports, requests(stored))
    run.keep("api", figures(measured), PACKAGES)


def requests(stored: Stock) -> dict[str, list[dict[str, Any]]]:
    """Return what is asked in each call."""
    body = {**DRAFT, "to": [stored.destination_id]}
    one = [{"method": "GET", "path": f"/v1/notifications/{id_}"} for id_ in stored.notification_ids]
    asked: dict[str, list[dict[str, Any]]] = {
        "get": one,
        "get_alone": one,
        "list": [{"method": "GET", "path": "/v1/notifications?limit=50"}],
        "post": [{"method": "POST", "path": "/v1/notifications", "body": body}],
    }
    return {call: [{**one, "headers": AUTHORIZED} for one in many] for call, many in asked.items()}


def in_rounds(run: Run, ports: Mapping[str, int], asked: Mapping[str, list[dict[str, Any]]]) -> Measured:
    """Load each contestant with each call it knows, in turns."""
    measured: Measured = {
        (name, call): [] for name in ports for call in asked if name != "limit" or call == "get"
    }

    def turn(name: str, call: str) -> float:
        most = 1 if call == "get_alone" else run.pick(32, 4)
        found = load(run, ports[name], asked[call], most)
        assert set(found["statuses"]) == {EXPECTED[call]}, f"{name}, {call}: {found['statuses']}"
        measured[name, call].append(found)
        return float(found["per_second"])

    # call by call, so that what is compared stands close in time
    order = sorted(measured, key=lambda pair: list(asked).index(pair[1]))
    in_turns({f"{call}, {name}": partial(turn, name, call) for name, call in order}, run.rounds, run.say)
    return measured


def load(run: Run, port: int, asked: list[dict[str, Any]], connections: int) -> dict[str, Any]:
    """Run the load generator, a process of its own; return what it found."""
    sizes = {"--connections": connections, "--warm-up": run.pick(1, 0), "--seconds": run.pick(4, 0)}
    options = [str(part) for pair in sizes.items() for part in pair]
    argv = [sys.executable, "-m", "benchmarks.api_load", HOST, str(port), *options]
    text = json.dumps(asked)
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise AssertionError(f"the load generator failed: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def figures(measured: Measured) -> dict[str, Figure]:
    """Return rates, latencies and the ratios that are promised."""
    found: dict[str, Figure] = {}
    for (name, what), rounds in measured.items():
        key = name.replace(", ", "_")
        for unit, field in (("/s", "per_second"), ("ms", "p50_ms"), ("ms", "p99_ms")):
            found[f"api.{key}.{what}.{field}"] = middle(column(rounds, field), unit)
    ours, limit = measured["ours", "get"], measured["limit", "get"]
    found["api.p99_over_p50.get"] = ratio(column(ours, "p99_ms"), column(ours, "p50_ms"))
    found["api.of_fastapi_limit.get"] = ratio(column(ours, "per_second"), column(limit, "per_second"))
    return found | dict(over_flask(measured))


def over_flask(measured: Measured) -> Iterator[tuple[str, Figure]]:
    """Yield how many times as fast as the faster Flask ours is; nothing where the peers are not installed."""
    for what in EXPECTED:
        rates = {
            name: column(rounds, "per_second") for (name, one), rounds in measured.items() if one == what
        }
        if peers := [rates[name] for name in GUNICORN if name in rates]:
            yield f"api.x_flask.{what}", ratio(rates["ours"], max(peers, key=median))


def column(rounds: list[dict[str, Any]], field: str) -> list[float]:
    """Return one figure of each round."""
    return [float(one[field]) for one in rounds]
