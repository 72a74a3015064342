"""A mail server, a process of its own, that hangs up: before a mail, in the middle, or after its last byte.

What it has taken whole, it notes as the receiver of webhooks does; each time that it hangs up, it notes when.
"""

import asyncio
import os
import re
from argparse import ArgumentParser, Namespace
from functools import partial
from pathlib import Path
from random import Random

from tests.faults.receiver import announce

BEFORE, MIDDLE, AFTER, FINE = "before", "middle", "after", "fine"
FATES = (FINE, BEFORE, MIDDLE, AFTER)

MESSAGE_ID = re.compile(rb"^Message-ID:\s*<([^@>]+)@", re.I | re.M)


class Mailbox:
    """What the server notes, and what it decides."""

    def __init__(self, given: Namespace) -> None:
        self._accepted = os.open(given.log, os.O_WRONLY | os.O_APPEND)
        self._hung_up = os.open(given.hung_up, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._random = Random(given.seed)
        self._left = given.hang_ups

    def fate(self) -> str:
        """Return what becomes of the next mail; once it has hung up often enough, it takes all of them."""
        fate = self._random.choice(FATES) if self._left else FINE
        self._left -= fate != FINE
        return fate

    def accept(self, mail: str) -> None:
        """Note that the mail is here."""
        os.write(self._accepted, f"{mail}\n".encode())

    def hang_up(self, when: str) -> None:
        """Note that the server hangs up."""
        os.write(self._hung_up, f"{when}\n".encode())


async def talk(mailbox: Mailbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak SMTP, as little of it as is needed."""
    writer.write(b"220 mailbox.test\r\n")
    try:
        while line := await reader.readline():
            if line[:4].upper() == b"DATA" and (when := await _hung_up(mailbox, reader, writer)):
                mailbox.hang_up(when)
                writer.transport.abort()
                return
            writer.write(b"221 Bye\r\n" if line[:4].upper() == b"QUIT" else b"250 OK\r\n")
    except ConnectionError:
        pass
    finally:
        writer.close()


async def _hung_up(
    mailbox: Mailbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> str | None:
    """Take a mail up to its fate; return when to hang up, None if it was taken in peace."""
    fate = mailbox.fate()
    if fate == BEFORE:
        return BEFORE
    writer.write(b"354 Go on\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    if fate == MIDDLE:
        return MIDDLE
    await reader.readuntil(b"\r\n.\r\n")
    found = MESSAGE_ID.search(head)
    assert found
    mailbox.accept(found[1].decode())
    return AFTER if fate == AFTER else None


async def serve(given: Namespace) -> None:
    """Take mails for ever."""
    server = await asyncio.start_server(partial(talk, Mailbox(given)), "127.0.0.1", 0, backlog=1000)
    announce(given.port, server.sockets[0].getsockname()[1])
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = ArgumentParser()
    parser.add_argument("log", type=Path)
    parser.add_argument("hung_up", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--hang-ups", type=int, required=True)
    parser.add_argument("--port", type=Path, required=True)
    asyncio.run(serve(parser.parse_args()))
