"""Kind `webhook`: a signed POST, as Standard Webhooks has it."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from importlib.metadata import version
from typing import Any, ClassVar

from yarl import URL

from notifier import json_text
from notifier.channels import signing
from notifier.channels.base import ChannelConfig, unsuccessful
from notifier.channels.masking import masked
from notifier.channels.posting import Post, Poster
from notifier.channels.transfer import Exchange
from notifier.channels.webhook_config import WebhookConfig
from notifier.deadlines import Deadline, Deadlines
from notifier.domain.delivery import AttemptOutcome, Envelope, Outcome, Reason, Sending
from notifier.settings import Settings

USER_AGENT = f"notifier/{version('notifier')}"

_DELIVERED = range(200, 300)
_GONE = 410


class WebhookChannel:
    """Sends over shared connections, the first of which is made by the first send."""

    kind: ClassVar[str] = "webhook"
    config_model: ClassVar[type[ChannelConfig]] = WebhookConfig
    signs: ClassVar[bool] = True
    address_form: ClassVar[str] = "https://example.com/hook"

    def __init__(self, settings: Settings) -> None:
        """Keep the settings; opens nothing."""
        self._timeout = settings.webhook_timeout
        self._poster = Poster(settings.allow_private_destinations)
        self._deadlines = Deadlines()

    @classmethod
    def parse_address(cls, address: str) -> Mapping[str, Any] | None:
        """Read `http://` and `https://` addresses."""
        return {"url": address} if address.lower().startswith(("http://", "https://")) else None

    def receiver(self, config: Mapping[str, Any]) -> str:
        """Name host and port of the address."""
        return _server(config["url"])

    def prepare(self, envelope: Envelope) -> Sending:
        """Write and sign the message."""
        body = _body(envelope)
        return partial(self._send, envelope, body.encode(), _headers(envelope, body))

    def _send(self, envelope: Envelope, body: bytes, headers: list[str]) -> "asyncio.Future[Outcome]":
        """POST once; a lost answer is ambiguous from the moment that bytes may have left."""
        answer = _Answer(envelope, self._timeout)
        url = envelope.config["url"]
        answer.post = self._poster.begin(answer.exchange, url, headers, body, answer.conclude)
        if not answer.done():
            answer.deadline = self._deadlines.call_in(self._timeout, answer.give_up)
        return answer

    async def aclose(self) -> None:
        """Close the connections that are kept alive."""
        await self._poster.aclose()


class _Answer(asyncio.Future[Outcome]):
    """What becomes of one POST. Kept as data: a task that waits for it would cost as much as the POST."""

    __slots__ = ("_envelope", "_timeout", "deadline", "exchange", "post")

    post: Post

    def __init__(self, envelope: Envelope, timeout: float) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self.deadline: Deadline | None = None
        self._envelope = envelope
        self._timeout = timeout
        self.exchange = Exchange()

    def give_up(self) -> None:
        """End it: no answer has come in time."""
        self.post.stop()

    def cancel(self, msg: Any | None = None) -> bool:
        """End it, as nobody wants to know any longer."""
        cancelled = super().cancel(msg)
        if cancelled:
            self.post.stop()
        return cancelled

    def conclude(self) -> None:
        """Tell the outcome."""
        if self.deadline:
            self.deadline.cancel()
        if self.done():
            return
        try:
            self.set_result(self._outcome())
        except Exception as error:
            self.set_exception(error)

    def _outcome(self) -> Outcome:
        exchange, envelope = self.exchange, self._envelope
        if exchange.status is not None:
            return _answered(exchange.status, exchange, envelope)
        if self.deadline and self.deadline.passed:
            return _lost(AttemptOutcome.TIMEOUT, f"no answer within {self._timeout:g} s", exchange)
        if exchange.only_blocked:
            text = f"{exchange.blocked[0]} is a private or special address"
            return Outcome.rejected(Reason.ADDRESS_BLOCKED, text)
        text = masked(exchange.error or "no answer", _confidential(envelope))
        return _lost(AttemptOutcome.CONNECTION_LOST, text, exchange)


@lru_cache(maxsize=4096)
def _server(address: str) -> str:
    url = URL(address, encoded=True)
    return f"{url.host}:{url.port}"


def _body(envelope: Envelope) -> str:
    if envelope.event is not None:
        message = {name: envelope.event[name] for name in ("type", "timestamp", "data")}
        return json_text.write(message)
    data = {
        "notification_id": envelope.notification_id,
        "delivery_id": envelope.delivery_id,
        "external_id": envelope.external_id,
        "scheduled_for": envelope.scheduled_for,
        "attempt": envelope.attempt,
        "title": envelope.title,
        "body": envelope.body,
        "data": dict(envelope.data),
    }
    message = {"type": "notification.due", "timestamp": envelope.sent_at, "data": data}
    return json_text.write(message)


def _headers(envelope: Envelope, body: str) -> list[str]:
    """Return the lines of all headers as libcurl takes them: "name;" is an empty one, "name:" none."""
    own = {"content-type": "application/json", "accept-encoding": "identity"}
    signed = signing.headers(envelope.message_id, envelope.sent_at, body, envelope.secrets)
    users = {name.lower(): value for name, value in envelope.config.get("headers", {}).items()}
    named = {"user-agent": USER_AGENT, **users, **own, **signed}
    return ["expect:", *(f"{name}: {value}" if value else f"{name};" for name, value in named.items())]


def _confidential(envelope: Envelope) -> Iterator[str]:
    """Yield what was sent and is shown to nobody."""
    yield from envelope.config.get("headers", {}).values()
    for secret in envelope.secrets:
        yield from (secret, secret.removeprefix(signing.PREFIX))


def _answered(status: int, exchange: Exchange, envelope: Envelope) -> Outcome:
    if status in _DELIVERED:
        return Outcome.delivered(status)
    said = masked(exchange.beginning.decode(errors="replace"), _confidential(envelope))
    text = _answer_text(status, said)
    if status == _GONE:
        return Outcome.rejected(Reason.DESTINATION_GONE, text, status)
    failed = unsuccessful(AttemptOutcome.FAILED, text, status)
    wait = retry_after(exchange.retry_after, envelope.sent_at)
    return Outcome(failed.result, failed.status_code, failed.error, retry_after=wait)


def _answer_text(status: int, body: str) -> str:
    if 300 <= status < 400:
        return f"HTTP {status}: redirects are not followed"
    said = " ".join("".join(ch if ch.isprintable() else " " for ch in body).split())
    return f"HTTP {status}: {said[:400]}" if said else f"HTTP {status}"


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Return the wait that a Retry-After header asks for, or None where it makes no sense.

    Reads seconds and the three forms of HTTP dates (RFC 9110); `now` is an aware instant.
    """
    value = (value or "").strip()
    with suppress(ValueError, TypeError, OverflowError, IndexError):
        if value.isascii() and value.isdigit():
            # a longer number is a long wait all the same
            return timedelta(seconds=int((value.lstrip("0") or "0")[:10]))
        if len(value) < 40:
            at = parsedate_to_datetime(value)
            wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
            return wait if wait > timedelta(0) else None
    return None


def _lost(ambiguous: AttemptOutcome, text: str, exchange: Exchange) -> Outcome:
    return unsuccessful(ambiguous if exchange.may_have_left else AttemptOutcome.FAILED, text)
