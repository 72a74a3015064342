"""Many new notifications at once: `notifier import` of a file, bulk calls, and a POST for each.

The real command against one API process: from the start of the command to its end, so with what Python takes
to load. Bulk calls hold 1,000 rows and follow one another; POSTs go out over 32 connections, as in the part
`api`. Each row has an external id of its own and one of 100 recipients; the database says how many are there.
"""

import http.client
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.api import load
from benchmarks.api_servers import AUTHORIZED, HOST
from benchmarks.due_rows import DRAFT
from benchmarks.memory import serving
from benchmarks.parts import Run
from benchmarks.rounds import Figure, Samples, in_turns, middle, ratio
from benchmarks.servers import API_KEY, Servers, open_servers, said

DATABASE = "importing"
RECIPIENTS = 100
MOST_IN_A_CALL = 1_000
JSON = {**AUTHORIZED, "Content-Type": "application/json", "Prefer": "return=minimal"}

Rows = list[dict[str, Any]]


def measure(run: Run) -> None:
    """Measure the three ways in turns."""
    with open_servers() as servers:
        servers.make_database(DATABASE)
        servers.migrate(DATABASE)
        with serving(servers, DATABASE) as (_, port):
            ways = Ways(run, servers, port, rows())
            # the first to come makes the recipients, which all others find
            ways.bulk()
            contestants = {"import": ways.command, "bulk": ways.bulk, "single": ways.single}
            samples = in_turns(contestants, run.rounds, run.say)
    run.keep("import", figures(samples), ("uvicorn", "fastapi", "sqlalchemy"))


def rows() -> Iterator[dict[str, Any]]:
    """Yield new rows without end."""
    for number in count():
        to = f"mailto:user-{number % RECIPIENTS}@example.com"
        yield {**DRAFT, "external_id": f"row-{number}", "to": [to]}


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways to bring rows in; each returns rows per second."""

    run: Run
    servers: Servers
    port: int
    new: Iterator[dict[str, Any]]

    def command(self) -> float:
        """Import a file with the command."""
        many, before = self._take(self.run.pick(20_000, 50)), self._stored()
        file = self.servers.places.run / "rows.jsonl"
        file.write_text("".join(f"{json.dumps(row)}\n" for row in many))
        began = perf_counter()
        told = self._import(file)
        seconds = perf_counter() - began
        assert told["created"] == len(many), told
        self._check(before, len(many))
        return len(many) / seconds

    def bulk(self) -> float:
        """Make calls of 1,000 rows each, one after the other."""
        many, before = self._take(self.run.pick(10_000, 50)), self._stored()
        bodies = [
            json.dumps({"items": many[n : n + MOST_IN_A_CALL]}) for n in range(0, len(many), MOST_IN_A_CALL)
        ]
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        began = perf_counter()
        for body in bodies:
            connection.request("POST", "/v1/notifications/bulk", body, JSON)
            answer = json.loads(connection.getresponse().read())
            assert answer.get("failed") == 0, answer
        seconds = perf_counter() - began
        connection.close()
        self._check(before, len(many))
        return len(many) / seconds

    def single(self) -> float:
        """Make a call for each row, over many connections at once."""
        many = self._take(self.run.pick(20_000, 500))
        asked = [
            {"method": "POST", "path": "/v1/notifications", "headers": AUTHORIZED, "body": row}
            for row in many
        ]
        found = load(self.run, self.port, asked, self.run.pick(32, 4))
        assert set(found["statuses"]) == {"201"}, found["statuses"]
        return float(found["per_second"])

    def _import(self, file: Path) -> dict[str, Any]:
        """Run the command to its end; return what it tells."""
        url = f"http://{HOST}:{self.port}"
        argv = [sys.executable, "-m", "notifier", "import", file, "--url", url, "--json"]
        child = self.servers.start("import", argv, {"NOTIFIER_API_KEY": API_KEY})
        self.servers.finish(child)
        told: dict[str, Any] = json.loads(said(child).splitlines()[-1])
        return told

    def _take(self, many: int) -> Rows:
        return [next(self.new) for _ in range(many)]

    def _stored(self) -> int:
        return int(self.servers.sql(DATABASE, "SELECT count(*) AS n FROM notifications")[0]["n"])

    def _check(self, before: int, made: int) -> None:
        stored = self._stored() - before
        assert stored == made, f"{stored} of {made} rows are there"


def figures(samples: Samples) -> dict[str, Figure]:
    """Return rows per second, and how they compare with a POST for each."""
    return {
        "import.rows_per_s": middle(samples["import"], "/s"),
        "import.bulk_rows_per_s": middle(samples["bulk"], "/s"),
        "import.single_rows_per_s": middle(samples["single"], "/s"),
        "import.x_single_post": ratio(samples["import"], samples["single"]),
        "import.bulk_x_single_post": ratio(samples["bulk"], samples["single"]),
    }
