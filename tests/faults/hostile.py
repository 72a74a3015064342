"""Receivers that do harm, each on a port of its own, in one process."""

import asyncio
import json
import zlib
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable
from functools import cache, partial
from pathlib import Path

from tests.faults.receiver import announce

MB = 1_000_000
BOMB_MB = 200
ANSWER = b"HTTP/1.1 %s\r\ncontent-type: text/plain\r\n"

Harm = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def drip_headers(to: asyncio.StreamWriter) -> None:
    """A byte of the headers each second: nobody learns the status."""
    for byte in ANSWER % b"200 OK" * 100:
        await _write(to, bytes([byte]))
        await asyncio.sleep(1)


async def drip_body(to: asyncio.StreamWriter) -> None:
    """A status at once, then a byte of the body each second."""
    await _write(to, ANSWER % b"500 Oh" + b"content-length: 1000\r\n\r\n")
    for _ in range(1000):
        await _write(to, b"x")
        await asyncio.sleep(1)


async def endless_headers(to: asyncio.StreamWriter) -> None:
    """Headers without end."""
    await _write(to, ANSWER % b"200 OK")
    while True:
        await _write(to, b"x-more: " + b"x" * 4000 + b"\r\n")


async def endless_body(to: asyncio.StreamWriter) -> None:
    """A body without end, as fast as it goes."""
    await _write(to, ANSWER % b"500 Oh" + b"\r\n")
    while True:
        await _write(to, b"x" * MB)


async def bomb(to: asyncio.StreamWriter) -> None:
    """Some hundred kilobytes that unpack into hundreds of megabytes."""
    await _write(to, ANSWER % b"500 Oh" + b"content-encoding: gzip\r\n")
    await _write(to, b"content-length: %d\r\n\r\n" % len(packed()) + packed())


async def hang(_to: asyncio.StreamWriter) -> None:
    """No answer."""
    await asyncio.Event().wait()


async def reset_after_headers(to: asyncio.StreamWriter) -> None:
    """A good status, then a connection that breaks."""
    await _write(to, ANSWER % b"200 OK" + b"content-length: 1000\r\n\r\n")
    to.transport.abort()


async def storm(to: asyncio.StreamWriter) -> None:
    """Too many requests."""
    await _write(to, ANSWER % b"429 Too Many Requests" + b"retry-after: 61\r\ncontent-length: 0\r\n\r\n")


HARMS: tuple[Harm, ...] = (
    drip_headers,
    drip_body,
    endless_headers,
    endless_body,
    bomb,
    hang,
    reset_after_headers,
    storm,
)


@cache
def packed() -> bytes:
    """Return the bomb."""
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packing.compress(bytes(MB)) for _ in range(BOMB_MB)) + packing.flush()


async def _write(to: asyncio.StreamWriter, part: bytes) -> None:
    to.write(part)
    await to.drain()


async def talk(harm: Harm, reader: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    """Take one request, then do harm until the sender has had enough."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        await harm(to)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        to.close()


async def serve(file: Path) -> None:
    """Do harm for ever; announce the ports by name, as JSON."""
    packed()
    ports = {}
    for harm in HARMS:
        server = await asyncio.start_server(partial(talk, harm), "127.0.0.1", 0, backlog=1000)
        ports[harm.__name__] = server.sockets[0].getsockname()[1]
    announce(file, json.dumps(ports))
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = ArgumentParser()
    parser.add_argument("--port", type=Path, required=True)
    asyncio.run(serve(parser.parse_args().port))
