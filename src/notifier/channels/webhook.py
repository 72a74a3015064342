"""Kind `webhook`: a signed POST, as Standard Webhooks has it."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from importlib.metadata import version
from typing import Any, ClassVar

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from notifier import failpoints, json_text
from notifier.channels import signing
from notifier.channels.base import ChannelConfig, unsuccessful
from notifier.channels.egress import Exchange, Guard, exchange
from notifier.channels.masking import masked
from notifier.channels.webhook_config import WebhookConfig
from notifier.deadlines import Deadlines
from notifier.domain.delivery import AttemptOutcome, Envelope, Outcome, Reason, Sending
from notifier.settings import Settings

ANSWER_BYTES = 4096
"""How much of an answer is read, for the error text."""

ANSWER_SECONDS = 0.5
"""How long the answer's body is waited for: its status has decided already."""

USER_AGENT = f"notifier/{version('notifier')}"

KEEP_ALIVE_SECONDS = 10
"""Less than common servers keep idle connections, so that few are found closed by the other side."""

_DELIVERED = range(200, 300)
_GONE = 410


class WebhookChannel:
    """Sends over one shared session, made by the first send."""

    kind: ClassVar[str] = "webhook"
    config_model: ClassVar[type[ChannelConfig]] = WebhookConfig
    signs: ClassVar[bool] = True
    address_form: ClassVar[str] = "https://example.com/hook"

    def __init__(self, settings: Settings) -> None:
        """Keep the settings; opens nothing."""
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
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

    async def _send(self, envelope: Envelope, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """POST once; a lost answer is ambiguous from the moment that bytes may have left."""
        on_its_way = Exchange()
        exchange.set(on_its_way)
        deadline = asyncio.get_running_loop().time() + self._settings.webhook_timeout
        try:
            with self._deadlines.within(self._settings.webhook_timeout):
                response = await self._post(envelope.config["url"], body, headers)
        except TimeoutError:
            text = f"no answer within {self._settings.webhook_timeout:g} s"
            return _lost(AttemptOutcome.TIMEOUT, text, on_its_way.may_have_left)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if on_its_way.only_blocked:
                text = f"{on_its_way.blocked[0]} is a private or special address"
                return Outcome.rejected(Reason.ADDRESS_BLOCKED, text)
            text = masked(_text(error), _confidential(envelope))
            return _lost(AttemptOutcome.CONNECTION_LOST, text, on_its_way.may_have_left)
        if response.status in _DELIVERED and response.content.at_eof():
            response.release()
            return Outcome.delivered(response.status)
        return _outcome(response, await _beginning(response, deadline), envelope)

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        session = self._open_session()
        return await session.post(_url(url), data=body, headers=headers, allow_redirects=False)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = _session(self._settings)
        return self._session

    async def aclose(self) -> None:
        """Close the connections that are kept alive."""
        session, self._session = self._session, None
        if session:
            await session.close()


@lru_cache(maxsize=4096)
def _url(address: str) -> URL:
    """Parse a stored address, as it stands."""
    return URL(address, encoded=True)


@lru_cache(maxsize=4096)
def _server(address: str) -> str:
    url = _url(address)
    return f"{url.host}:{url.port}"


def _session(settings: Settings) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=0,  # bulkheads set the limits, before a message's time begins to run
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        socket_factory=Guard(settings.allow_private_destinations),
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,  # no proxy from the environment: the guard would judge the proxy's address
        auto_decompress=False,  # a small answer may unpack into a huge one
        timeout=aiohttp.ClientTimeout(total=None),  # one time-out around the whole exchange instead
        request_class=_Request,
    )


class _Request(aiohttp.ClientRequest):
    """Notes the moment before the first byte is written; aiohttp's tracing tells of more, and costs more."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if on_its_way := exchange.get():
            on_its_way.may_have_left = True
        failpoints.reach(failpoints.REQUEST_LEFT)
        return await super().send(conn)


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


def _headers(envelope: Envelope, body: str) -> dict[str, str]:
    own = {"content-type": "application/json", "accept-encoding": "identity"}
    signed = signing.headers(envelope.message_id, envelope.sent_at, body, envelope.secrets)
    users = {name.lower(): value for name, value in envelope.config.get("headers", {}).items()}
    return {"user-agent": USER_AGENT, **users, **own, **signed}


async def _beginning(response: aiohttp.ClientResponse, deadline: float) -> bytes:
    """Return what the answer's body begins with; never fails, never waits for long."""
    beginning = bytearray()
    until = min(asyncio.get_running_loop().time() + ANSWER_SECONDS, deadline)
    with suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout_at(until):
            async for chunk in response.content.iter_any():
                beginning += chunk
                if len(beginning) >= ANSWER_BYTES:
                    break
    if response.content.at_eof():
        response.release()
    else:
        response.close()
    return bytes(beginning[:ANSWER_BYTES])


def _confidential(envelope: Envelope) -> Iterator[str]:
    """Yield what was sent and is shown to nobody."""
    yield from envelope.config.get("headers", {}).values()
    for secret in envelope.secrets:
        yield from (secret, secret.removeprefix(signing.PREFIX))


def _outcome(response: aiohttp.ClientResponse, beginning: bytes, envelope: Envelope) -> Outcome:
    if response.status in _DELIVERED:
        return Outcome.delivered(response.status)
    text = _answer_text(response.status, masked(beginning.decode(errors="replace"), _confidential(envelope)))
    if response.status == _GONE:
        return Outcome.rejected(Reason.DESTINATION_GONE, text, response.status)
    failed = unsuccessful(AttemptOutcome.FAILED, text, response.status)
    wait = retry_after(response.headers.get("retry-after"), envelope.sent_at)
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


def _lost(ambiguous: AttemptOutcome, text: str, may_have_left: bool) -> Outcome:
    return unsuccessful(ambiguous if may_have_left else AttemptOutcome.FAILED, text)


def _text(error: Exception) -> str:
    # aiohttp's word for "no certificates of your own", which it adds to plain http, too
    said = str(error).replace(" ssl:default", "")
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
