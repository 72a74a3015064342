"""Kind `email`: a mail over SMTP, with text and HTML parts."""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import parseaddr
from functools import cached_property, partial
from typing import Any, ClassVar

import aiosmtplib
from aiosmtplib.email import flatten_message
from aiosmtplib.protocol import PERIOD_REGEX, normalize_message_line_endings

from notifier.channels.base import ChannelConfig, unsuccessful
from notifier.channels.email_config import EmailConfig, parse_mailto
from notifier.channels.email_message import compose, domain
from notifier.domain.delivery import AttemptOutcome, Envelope, Outcome, Reason, Sending
from notifier.settings import Settings

QUIT_SECONDS = 1.0
PATIENT_TRIES = 3
"""So often a mail waits for all its recipients, if some are refused for the moment only."""

Refusals = list[aiosmtplib.SMTPRecipientRefused]


@dataclass(slots=True)
class Progress:
    """How far a try got: past the point where our own server is at fault, and past the last byte."""

    ours: bool = True
    handed_over: bool = False


class EmailChannel:
    """Sends each mail over a connection of its own."""

    kind: ClassVar[str] = "email"
    config_model: ClassVar[type[ChannelConfig]] = EmailConfig
    signs: ClassVar[bool] = False
    address_form: ClassVar[str] = "mailto:ada@example.com"

    def __init__(self, settings: Settings) -> None:
        """Keep the settings; opens nothing."""
        self._settings = settings

    @classmethod
    def parse_address(cls, address: str) -> Mapping[str, Any] | None:
        """Read `mailto:` addresses, with one recipient or several."""
        return parse_mailto(address)

    def receiver(self, config: Mapping[str, Any]) -> str:  # noqa: ARG002
        """Name the mail server, which takes all mails."""
        return self._settings.smtp_host or ""

    def prepare(self, envelope: Envelope) -> Sending:
        """Do nothing yet: a mail costs most in talking to its server."""
        return partial(self._send, envelope)

    async def _send(self, envelope: Envelope) -> Outcome:
        """Hand the mail over once; what is lost after its last byte was sent is ambiguous.

        Until the server has taken the sender, no destination is at fault: all mails meet the same.
        """
        progress = Progress()
        outcome = await self._try(envelope, progress)
        return outcome._replace(ours=progress.ours)

    async def _try(self, envelope: Envelope, progress: Progress) -> Outcome:
        if not self._settings.smtp_host:
            text = "no mail server is configured: set NOTIFIER_SMTP_HOST"
            return unsuccessful(AttemptOutcome.FAILED, text)
        client: aiosmtplib.SMTP | None = None
        try:
            async with asyncio.timeout(self._settings.channel_timeout):
                client = self._client()
                outcome = await self._deliver(client, envelope, progress)
            await _say_goodbye(client)
        except TimeoutError as error:
            text = str(error) or f"the mail server did not finish within {self._settings.channel_timeout:g} s"
            return _lost(AttemptOutcome.TIMEOUT, text, progress.handed_over)
        except aiosmtplib.SMTPResponseException as error:
            return _refused(error, progress.handed_over)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            text = f"{type(error).__name__}: {error}"
            return _lost(AttemptOutcome.CONNECTION_LOST, text, progress.handed_over)
        finally:
            if client:
                client.close()
        return outcome

    async def _deliver(self, client: aiosmtplib.SMTP, envelope: Envelope, progress: Progress) -> Outcome:
        sender, recipients = self._settings.smtp_from, list(envelope.config["to"])
        message = compose(envelope, sender, recipients)
        await client.connect()
        refusals = await _open_envelope(client, parseaddr(sender)[1], recipients, progress)
        if len(refusals) == len(recipients):
            return _all_refused(refusals)
        if _can_wait(envelope) and not all(map(_lasts, refusals)):
            # nobody has the mail yet: the goodbye takes back what was named
            return unsuccessful(AttemptOutcome.FAILED, "sent to nobody yet: " + _listed(refusals))
        answer = await _transmit(client, message, progress)
        return _partly(refusals, len(recipients), answer.code) if refusals else Outcome.delivered(answer.code)

    def _client(self) -> aiosmtplib.SMTP:
        settings = self._settings
        password = settings.smtp_password.get_secret_value() if settings.smtp_password else None
        return aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_username,
            password=password,
            local_hostname=domain(settings.smtp_from),
            timeout=None,  # one time-out around the whole exchange instead
            use_tls=settings.smtp_tls == "tls",
            start_tls=settings.smtp_tls == "starttls",
            tls_context=self._tls if settings.smtp_tls != "none" else None,
        )

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    async def aclose(self) -> None:
        """Nothing to let go of."""


async def _open_envelope(
    client: aiosmtplib.SMTP, sender: str, recipients: list[str], progress: Progress
) -> Refusals:
    """Name sender and recipients; return the recipients that were refused."""
    utf8 = not all(address.isascii() for address in (sender, *recipients))
    options = ["SMTPUTF8"] if utf8 else []
    encoding = "utf-8" if utf8 else "ascii"
    await client.mail(sender, options=options, encoding=encoding)
    progress.ours = False
    refusals: Refusals = []
    for recipient in recipients:
        try:
            await client.rcpt(recipient, encoding=encoding)
        except aiosmtplib.SMTPRecipientRefused as refusal:
            refusals.append(refusal)
    return refusals


async def _transmit(
    client: aiosmtplib.SMTP, message: EmailMessage, progress: Progress
) -> aiosmtplib.SMTPResponse:
    """Send the message itself.

    The library's own `data` does the same in one piece; only in two can a connection lost before the
    message left be told from one lost after it.
    """
    ready = await client.execute_command(b"DATA")
    if ready.code != aiosmtplib.SMTPStatus.start_input or client.protocol is None:
        raise aiosmtplib.SMTPDataError(ready.code, ready.message)
    utf8 = bool(message.policy.utf8)  # type: ignore[attr-defined]
    lines = normalize_message_line_endings(flatten_message(message, utf8=utf8, cte_type="7bit"))
    client.protocol.write(PERIOD_REGEX.sub(b"..", lines) + b".\r\n")
    progress.handed_over = True
    answer = await client.protocol.read_response()
    if answer.code != aiosmtplib.SMTPStatus.completed:
        raise aiosmtplib.SMTPDataError(answer.code, answer.message)
    return answer


async def _say_goodbye(client: aiosmtplib.SMTP) -> None:
    """End the session politely if the server is quick; the mail's fate is known already."""
    with suppress(aiosmtplib.SMTPException, OSError):
        await client.quit(timeout=QUIT_SECONDS)


def _all_refused(refusals: Refusals) -> Outcome:
    text = "refused: " + _listed(refusals)
    if all(map(_lasts, refusals)):
        refused = unsuccessful(AttemptOutcome.REJECTED, text, refusals[0].code)
        return Outcome.rejected(Reason.RECIPIENT_REJECTED, refused.error or "", refused.status_code)
    return unsuccessful(AttemptOutcome.FAILED, text, refusals[0].code)


def _can_wait(envelope: Envelope) -> bool:
    """Say whether another try may find all recipients; one that is never there must not keep the others."""
    return envelope.attempt <= PATIENT_TRIES and not envelope.last


def _lasts(refusal: aiosmtplib.SMTPRecipientRefused) -> bool:
    return 500 <= refusal.code < 600


def _partly(refusals: Refusals, of: int, code: int) -> Outcome:
    """Return the outcome of a mail that some will never get: they are told of in the ledger."""
    error = f"not accepted for {len(refusals)} of {of}: " + _listed(refusals)
    return unsuccessful(AttemptOutcome.DELIVERED, error, code)._replace(reason=Reason.PARTLY_REFUSED)


def _listed(refusals: Refusals) -> str:
    return "; ".join(f"{refusal.recipient} ({refusal.code} {refusal.message})" for refusal in refusals)


def _refused(error: aiosmtplib.SMTPResponseException, handed_over: bool) -> Outcome:
    """Judge a negative answer: a lasting one to the message itself is final, all others are retried."""
    text = f"{type(error).__name__}: {error.code} {error.message}"
    if not 200 <= error.code < 600:
        return _lost(AttemptOutcome.CONNECTION_LOST, text, handed_over)
    if isinstance(error, aiosmtplib.SMTPDataError) and error.code >= 500:
        cut = unsuccessful(AttemptOutcome.REJECTED, text, error.code)
        return Outcome.rejected(Reason.RECIPIENT_REJECTED, cut.error or "", error.code)
    return unsuccessful(AttemptOutcome.FAILED, text, error.code)


def _lost(ambiguous: AttemptOutcome, text: str, handed_over: bool) -> Outcome:
    return unsuccessful(ambiguous if handed_over else AttemptOutcome.FAILED, text)
