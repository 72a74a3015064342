"""The other side of webhooks: a lean HTTP server of its own process that counts what it accepts.

It must not be the bottleneck, so it speaks only as much HTTP as the senders here do: requests with a
Content-Length, one after the other on a connection. `GET /tally` tells how many POSTs it accepted and how
many different `webhook-id`s they had; `POST /reset?delay=0.05` forgets them, and answers that late from then
on.
"""

import argparse
import asyncio
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar, cast

import uvloop

from benchmarks.servers import PATHS, Servers, said, wait_until
from notifier.embedded.child import Child

HEAD_END = b"\r\n\r\n"
ACCEPTED = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BACKLOG = 4096
Number = TypeVar("Number", int, float)


@dataclass
class Tally:
    """What was accepted so far, and how late it is answered (seconds)."""

    accepted: int = 0
    ids: set[bytes] = field(default_factory=set)
    delay: float = 0.0
    awaited: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def reset(self, delay: float) -> None:
        """Forget all, and answer that late from now on."""
        self.accepted, self.delay, self.awaited = 0, delay, 0
        self.ids.clear()

    def accept(self, message_id: bytes) -> None:
        """Count a message, and tell who waits for so many."""
        self.accepted += 1
        self.ids.add(message_id)
        if self.accepted == self.awaited:
            self.arrived.set()

    async def all_arrived(self, count: int) -> None:
        """Return once so many were accepted."""
        self.awaited = count
        self.arrived = asyncio.Event()
        if self.accepted < count:
            await self.arrived.wait()

    def as_json(self) -> bytes:
        """Return the counts."""
        return json.dumps({"accepted": self.accepted, "different": len(self.ids)}).encode()


class Conversation(asyncio.Protocol):
    """One connection."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports are no subclass of asyncio's
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._read += data
        while (end := self._read.find(HEAD_END)) >= 0:
            head = self._read[:end]
            whole = end + len(HEAD_END) + int(header(head, b"content-length") or 0)
            if len(self._read) < whole:
                return
            body, self._read = self._read[end + len(HEAD_END) : whole], self._read[whole:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /tally"):
            told = self._tally.as_json()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(told), told))
        elif head.startswith(b"GET /arrived"):
            waiting = asyncio.ensure_future(self._tally.all_arrived(_number(head, int)))
            waiting.add_done_callback(lambda _: self._transport.write(ACCEPTED))
        elif head.startswith(b"POST /reset"):
            self._tally.reset(_number(head, float))
            self._transport.write(ACCEPTED)
        else:
            self._accept(head)

    def _accept(self, head: bytes) -> None:
        self._tally.accept(header(head, b"webhook-id"))
        if self._tally.delay:
            asyncio.get_running_loop().call_later(self._tally.delay, self._transport.write, ACCEPTED)
        else:
            self._transport.write(ACCEPTED)


class Receiver:
    """A running receiver, as the driver sees it."""

    def __init__(self, child: Child, port: int) -> None:
        self.child = child
        self.port = port

    def urls(self, hosts: int) -> list[str]:
        """Return addresses at that many different hosts, all of them this receiver."""
        # the whole of 127/8 is this machine on Linux; elsewhere one host is all there is
        names = ["127.0.0.1"] if hosts == 1 else [f"127.0.{1 + n // 250}.{1 + n % 250}" for n in range(hosts)]
        return [f"http://{name}:{self.port}/hook" for name in names]

    def reset(self, delay: float = 0.0) -> None:
        """Forget all that came, and answer that many seconds late from now on."""
        self._ask("POST", f"/reset?delay={delay}")

    def tally(self) -> tuple[int, int]:
        """Return how many POSTs were accepted, and how many different ids they had."""
        told = json.loads(self._ask("GET", "/tally"))
        return told["accepted"], told["different"]

    def wait_for(self, count: int, of: Child, seconds: float) -> None:
        """Return once so many were accepted; asks seldom, for asking takes time from those who are measured.

        Raises AssertionError if that takes too long, or `of` ends.
        """
        wait_until(lambda: self._arrived(count), seconds, f"{count} arrived", of)

    def _arrived(self, count: int) -> bool:
        with suppress(TimeoutError):
            self._ask("GET", f"/arrived?count={count}")
            return True
        return False

    def check(self, count: int) -> None:
        """Raise AssertionError if anything is missing, or came twice."""
        if self.tally() != (count, count):
            raise AssertionError(f"{count} were sent; accepted and different: {self.tally()}")

    def most(self, seconds: float) -> float:
        """Return how many POSTs per second it answers when one process does nothing but ask."""
        self.reset()
        headers = {"webhook-id": "msg_1", "webhook-signature": "v1," + "A" * 44}
        request = {"method": "POST", "path": "/hook", "headers": headers, "body": {"body": "x" * 400}}
        load = [sys.executable, "-m", "benchmarks.api_load", "127.0.0.1", str(self.port)]
        told = subprocess.run(
            [*load, "--connections", "64", "--seconds", str(seconds)],
            input=json.dumps([request]).encode(),
            env={**os.environ, "PYTHONPATH": PATHS},
            stdout=subprocess.PIPE,
            check=True,
        )
        return float(json.loads(told.stdout)["per_second"])

    def _ask(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, headers={"Content-Length": "0"})
            return connection.getresponse().read()
        finally:
            connection.close()


@contextmanager
def open_receiver(servers: Servers, name: str = "receiver") -> Iterator[Receiver]:
    """Yield a receiver on a free port of all of this machine's addresses."""
    child = servers.start(name, [sys.executable, "-m", "benchmarks.receiver"])
    try:
        wait_until(lambda: "port " in said(child), of=child)
        yield Receiver(child, int(said(child).rpartition("port ")[2]))
    finally:
        servers.stop(child)


def _number(head: bytes, kind: type[Number]) -> Number:
    """Return the number that a request line ends with."""
    return kind(head.split(b" ")[1].rpartition(b"=")[2].decode())


def header(head: bytes, name: bytes) -> bytes:
    """Return the value of a header, or nothing."""
    start = head.lower().find(b"\r\n" + name + b":")
    if start < 0:
        return b""
    start += len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip()


async def _serve(host: str) -> None:
    tally = Tally()
    server = await asyncio.get_running_loop().create_server(
        lambda: Conversation(tally), host, 0, backlog=BACKLOG
    )
    sys.stdout.write(f"port {server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until killed; the port stands on the first line written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="0.0.0.0")
    given = parser.parse_args(arguments)
    uvloop.run(_serve(given.host))


if __name__ == "__main__":
    main()
