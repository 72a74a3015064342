"""Mails per second to an SMTP server on this machine, beside a loop over smtplib; plain and with STARTTLS.

Ours is a due minute: from the start of the sweep until the last outcome is in the ledger, a connection for
each mail. The loop has no queue and no ledger; it runs with a connection for each mail, and with one for all.
The receiver shares the machine's cores with whoever sends.
"""

import os
import smtplib
import ssl
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import make_msgid
from functools import partial
from pathlib import Path
from time import perf_counter

from tests.channels.certificates import server_tls

from benchmarks.due_rows import make_due
from benchmarks.mail_receiver import MailReceiver, open_mail_receiver
from benchmarks.parts import Run
from benchmarks.rounds import Figure, Samples, in_turns, middle, ratio
from benchmarks.servers import Servers, open_servers
from benchmarks.service import running, work_off

HOST = "127.0.0.1"
READY, USED = "mails_ready", "mails"


def measure(run: Run) -> None:
    """Measure all ways in turns."""
    count = run.pick(2_000, 20)
    with open_servers() as servers, tempfile.TemporaryDirectory() as folder:
        server_tls(Path(folder))
        certificate = Path(folder) / "server.pem"
        make_due(servers, READY, ["mailto:ada@example.com"], count)
        with trusting(certificate), open_mail_receiver(servers, certificate) as receiver:
            modes = ("starttls",) if run.quick else ("none", "starttls")
            ways = contestants(servers, receiver, modes, count, run.pick(500, 10))
            samples = in_turns(dict(ways), run.rounds, run.say)
    run.keep("mail", figures(samples), ("aiosmtpd", "aiosmtplib"))


def contestants(
    servers: Servers, receiver: MailReceiver, modes: Sequence[str], count: int, by_loop: int
) -> Iterator[tuple[str, Callable[[], float]]]:
    """Yield each way to send, as a function that returns mails per second."""
    for tls in modes:
        for workers in (1, 2):
            yield f"ours_{workers}w.{tls}", partial(send_due, servers, receiver, count, workers, tls)
        for keeps in (False, True):
            name = "smtplib_one_connection" if keeps else "smtplib"
            yield f"{name}.{tls}", Loop(receiver, by_loop, tls == "starttls", keeps).run


def send_due(servers: Servers, receiver: MailReceiver, count: int, workers: int, tls: str) -> float:
    """Let the service send a due minute; return mails per second."""
    servers.make_database(USED, template=READY)
    smtp = {"SMTP_HOST": HOST, "SMTP_PORT": receiver.port, "SMTP_TLS": tls}
    with running(servers, USED, workers, **smtp):
        seconds = work_off(servers, USED, count)
    receiver.check(count)
    return count / seconds


@dataclass(frozen=True, slots=True)
class Loop:
    """What one writes without a service: mail after mail, over a connection each or over one for all."""

    receiver: MailReceiver
    count: int
    starttls: bool
    keeps: bool

    def run(self) -> float:
        """Send them; return mails per second."""
        began = perf_counter()
        if self.keeps:
            with self.connect() as client:
                for _ in range(self.count):
                    client.send_message(compose())
        else:
            for _ in range(self.count):
                with self.connect() as client:
                    client.send_message(compose())
        seconds = perf_counter() - began
        self.receiver.check(self.count)
        return self.count / seconds

    def connect(self) -> smtplib.SMTP:
        """Return a connection to the receiver."""
        client = smtplib.SMTP(HOST, self.receiver.port, local_hostname="sender.test", timeout=30)
        if self.starttls:
            client.starttls(context=ssl.create_default_context())
        return client


def compose() -> EmailMessage:
    """Return a mail like ours, with parts of text and HTML."""
    message = EmailMessage()
    message["From"] = "notifier@localhost"
    message["To"] = "ada@example.com"
    message["Subject"] = "Water the plants, Ada"
    message["Message-ID"] = make_msgid(domain="localhost")
    text = "It is 2026-11-23: the ficus and the fern are thirsty again.\n"
    message.set_content(text)
    message.add_alternative(f"<p>{text}</p>", subtype="html")
    return message


@contextmanager
def trusting(certificate: Path) -> Iterator[None]:
    """Have this process and its children trust the certificate."""
    os.environ["SSL_CERT_FILE"] = str(certificate)
    try:
        yield
    finally:
        del os.environ["SSL_CERT_FILE"]


def figures(samples: Samples) -> dict[str, Figure]:
    """Return mails per second, and how they compare with the loop that connects for each mail, as we do."""
    found = {f"mail.{name}": middle(rates, "/s") for name, rates in samples.items()}
    for name, ours in samples.items():
        who, _, tls = name.partition(".")
        if who.startswith("ours_"):
            found[f"mail.x_smtplib_{tls}.{who.removeprefix('ours_')}"] = ratio(
                ours, samples[f"smtplib.{tls}"]
            )
    return found
