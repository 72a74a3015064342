"""A lean load generator: a fixed number of connections, each asking anew as soon as it is answered.

A process of its own: it shares no event loop with what it measures. Reads the requests from stdin, a JSON
list of `{"method", "path", "headers", "body"}`, takes them in turn, and writes the figures as JSON to stdout.
A server that closes after its answer is connected to again, and that time counts, as it would for a user.
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from statistics import quantiles
from time import perf_counter
from typing import Any, cast

import uvloop

HEAD_END = b"\r\n\r\n"
LEAST_ANSWERS = 100


def encode(request: dict[str, Any], host: str) -> bytes:
    """Return the bytes of an HTTP/1.1 request."""
    body = json.dumps(request["body"]).encode() if request.get("body") is not None else b""
    headers = {"Host": host, **request.get("headers", {})}
    if body:
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"{request['method']} {request['path']} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join(lines).encode() + HEAD_END + body


@dataclass
class Load:
    """What the connections share: the requests in turn, and the answers that count."""

    requests: Iterator[bytes]
    counts_from: float
    ends_at: float
    seconds: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    last: float = 0.0

    @property
    def goes_on(self) -> bool:
        """Say whether to ask more: until the end, and until there is something to reckon with."""
        return perf_counter() < self.ends_at or len(self.seconds) < LEAST_ANSWERS

    def note(self, started: float, status: str) -> None:
        """Note an answer that came just now."""
        self.last = perf_counter()
        if self.last >= self.counts_from:
            self.seconds.append(self.last - started)
            self.statuses[status] += 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What matters of an answer."""

    status: str
    keeps_alive: bool


class Connection(asyncio.Protocol):
    """Asks, reads the answer by its Content-Length, asks again; `closed` is set at the connection's end."""

    def __init__(self, load: Load, started: float) -> None:
        self._load = load
        self._started = started
        self._waits = True
        self._read = bytearray()
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask at once; the time of the first request began with the connecting."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(next(self._load.requests))

    def data_received(self, data: bytes) -> None:
        """Note the answer once it is whole, and ask anew."""
        self._read += data
        answer = whole(self._read)
        if answer is None:
            return
        self._read.clear()
        self._waits = False
        self._load.note(self._started, answer.status)
        if self._load.goes_on and answer.keeps_alive:
            self._waits = True
            self._started = perf_counter()
            self._transport.write(next(self._load.requests))
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note an answer that never came."""
        if self._waits:
            self._load.note(self._started, "lost")
        self.closed.set()


def whole(read: bytearray) -> Answer | None:
    """Return an answer that has been read to its end, else None. Takes answers with a Content-Length."""
    end = read.find(HEAD_END)
    if end < 0:
        return None
    head = bytes(read[:end]).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
    if len(read) < end + len(HEAD_END) + length:
        return None
    return Answer(head[9:12].decode(), b"\r\nconnection: close" not in head)


async def keep_asking(load: Load, host: str, port: int) -> None:
    """Ask until the load's end, over as many connections in turn as the server wants."""
    loop = asyncio.get_running_loop()
    while load.goes_on:
        new = partial(Connection, load, perf_counter())
        _, connection = await loop.create_connection(new, host, port)
        await connection.closed.wait()


async def run(
    host: str, port: int, requests: Sequence[bytes], *, connections: int, warm_up: float, seconds: float
) -> Load:
    """Ask for `warm_up` seconds that do not count, then for `seconds` that do."""
    counts_from = perf_counter() + warm_up
    load = Load(cycle(requests), counts_from, counts_from + seconds)
    await asyncio.gather(*(keep_asking(load, host, port) for _ in range(connections)))
    return load


def figures(load: Load) -> dict[str, Any]:
    """Return requests per second and the latency's 50th and 99th percentile in milliseconds."""
    at = quantiles(load.seconds, n=100, method="inclusive")
    return {
        "per_second": len(load.seconds) / (load.last - load.counts_from),
        "p50_ms": at[49] * 1000,
        "p99_ms": at[98] * 1000,
        "statuses": dict(load.statuses),
    }


def main() -> None:
    """Read the requests, load the server, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--warm-up", type=float, default=1.0, help="seconds that do not count")
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds that count")
    given = parser.parse_args()
    asked = [encode(one, f"{given.host}:{given.port}") for one in json.load(sys.stdin)]
    options = {"connections": given.connections, "warm_up": given.warm_up, "seconds": given.seconds}
    load = uvloop.run(run(given.host, given.port, asked, **options))
    json.dump(figures(load), sys.stdout)


if __name__ == "__main__":
    main()
