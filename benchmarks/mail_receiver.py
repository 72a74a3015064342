"""The other side of mails: an SMTP server of its own process that writes a line for each mail it accepts.

Offers STARTTLS with the certificate that is given, and takes mail without it as well. The first line written
says the port, each line after it the Message-ID of a mail.
"""

import argparse
import asyncio
import re
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop
from aiosmtpd.smtp import SMTP, Envelope, Session

from benchmarks.servers import Servers, said, wait_until
from notifier.embedded.child import Child

MESSAGE_ID = re.compile(rb"^message-id: *(\S+)", re.IGNORECASE | re.MULTILINE)


class Log:
    """Accepts everything and writes down its ids."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Write the id down, then accept."""
        found = MESSAGE_ID.search(envelope.original_content or b"")
        write(found[1].decode() if found else "no id")
        return "250 OK"


@contextmanager
def open_mail_receiver(servers: Servers, certificate: Path) -> Iterator["MailReceiver"]:
    """Yield a running receiver."""
    child = servers.start("mails", [sys.executable, "-m", "benchmarks.mail_receiver", certificate])
    try:
        wait_until(lambda: "port " in said(child), of=child)
        yield MailReceiver(child, int(said(child).splitlines()[0].removeprefix("port ")))
    finally:
        servers.stop(child)


class MailReceiver:
    """A running receiver, as the driver sees it."""

    def __init__(self, child: Child, port: int) -> None:
        self._child = child
        self.port = port
        self._seen = 1

    def check(self, count: int) -> None:
        """Raise AssertionError unless `count` mails came since the last check, each once."""
        lines = said(self._child).splitlines()[self._seen :]
        self._seen += len(lines)
        if (len(lines), len(set(lines))) != (count, count):
            raise AssertionError(
                f"{count} mails were sent; {len(lines)} came, {len(set(lines))} different ones"
            )


def write(line: str) -> None:
    """Write one line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _serve(certificate: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(Log(), hostname="receiver.test", tls_context=tls), "127.0.0.1", 0, backlog=1024
    )
    write(f"port {server.sockets[0].getsockname()[1]}")
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("certificate", help="PEM with certificate and key")
    uvloop.run(_serve(parser.parse_args().certificate))


if __name__ == "__main__":
    main()
