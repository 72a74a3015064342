"""Real receivers for tests: an HTTP and an SMTP server that record what they get and answer as told."""

import asyncio
import ssl
import warnings
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the HTTP receiver does with a request, after it has read all of it.

    `hang` never answers; `reset` drops the connection, unanswered or, with `headers_first`, after the
    headers; `drip` sends one byte of an endless body at a time.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang: bool = False
    reset: bool = False
    headers_first: bool = False
    drip: bool = False


class HttpReceiver:
    """Records requests; answers with `script` in turn, then with `always`."""

    def __init__(self) -> None:
        """Answer 200 until told otherwise."""
        self.requests: list[Received] = []
        self.connections: set[Any] = set()
        self.script: deque[Answer] = deque()
        self.always = Answer()
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Record the request, then do as the script says."""
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.connections.add(request.transport)
        self.requests.append(Received(request.method, request.path_qs, headers, body))
        answer = self.script.popleft() if self.script else self.always
        if answer.hang:
            await asyncio.Event().wait()
        if answer.reset and not answer.headers_first:
            return _drop(request)
        if answer.reset or answer.drip:
            return await self._stream(request, answer)
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    async def _stream(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        await response.prepare(request)
        with suppress(ConnectionResetError):  # the sender had enough
            await response.write(b"x")
            while answer.drip:
                await asyncio.sleep(0.02)
                await response.write(b"x")
        return _drop(request)


def _drop(request: web.Request) -> web.Response:
    if request.transport:
        request.transport.abort()
    return web.Response()


@asynccontextmanager
async def http_receiver(
    host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[HttpReceiver]:
    """Run an HTTP receiver on a free port; its `url` ends without a slash."""
    receiver = HttpReceiver()
    application = web.Application(client_max_size=16 * 1024 * 1024)
    application.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    receiver.url = f"{'https' if tls else 'http'}://{host}:{port}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@asynccontextmanager
async def raw_server(talk: Conversation) -> AsyncIterator[int]:
    """Run `talk(reader, writer)` for each connection; yields the port. For what no proper server does."""
    running: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        running.add(task)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            running.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as it came in; `raw` is what stood between DATA and the dot."""

    sender: str
    recipients: list[str]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        """The parsed mail."""
        parsed = message_from_bytes(self.raw.replace(b"\r\n", b"\n"), policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed


class SmtpReceiver:
    """Records mails; answers as told.

    `replies` maps a stage (`EHLO`, `MAIL`, `DATA`: the answer to the dot) or a recipient's address to a
    reply line, or to `hang` or `drop`.
    """

    def __init__(self) -> None:
        """Accept everything until told otherwise."""
        self.mails: list[Mail] = []
        self.replies: dict[str, str] = {}
        self.host, self.port = "127.0.0.1", 0

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Answer EHLO."""
        session.host_name = hostname
        reply = await self._reply(server, "EHLO")
        return [reply] if reply else responses

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer MAIL FROM."""
        reply = await self._reply(server, "MAIL")
        if reply is None:
            envelope.mail_from = address
        return reply or "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer RCPT TO."""
        reply = await self._reply(server, address)
        if reply is None:
            envelope.rcpt_tos.append(address)
        return reply or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Record the mail and answer the dot; a mail that is refused is recorded as well."""
        content = envelope.content or b""
        raw = content if isinstance(content, bytes) else content.encode()
        self.mails.append(Mail(envelope.mail_from or "", list(envelope.rcpt_tos), raw))
        return await self._reply(server, "DATA") or "250 OK"

    async def _reply(self, server: SMTP, key: str) -> str | None:
        reply = self.replies.get(key)
        if reply == "hang":
            await asyncio.Event().wait()
        if reply == "drop" and server.transport:
            server.transport.abort()
        return reply


@asynccontextmanager
async def smtp_receiver(
    *, password: str | None = None, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[SmtpReceiver]:
    """Run an SMTP receiver on a free port; with `password` it wants a login with it."""
    receiver = SmtpReceiver()
    sessions: set[SMTP] = set()

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, login: Any) -> AuthResult:
        good = isinstance(login, LoginPassword) and login.password == (password or "").encode()
        return AuthResult(success=good, handled=False)

    def make() -> SMTP:
        with warnings.catch_warnings(action="ignore"):  # a login without TLS is what is wanted here
            session = SMTP(
                receiver,
                hostname="receiver.test",
                enable_SMTPUTF8=True,
                tls_context=starttls,
                auth_required=password is not None,
                auth_require_tls=False,
                authenticator=authenticate,
            )
        sessions.add(session)
        return session

    loop = asyncio.get_running_loop()
    server = await loop.create_server(make, receiver.host, 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for session in sessions:
            if session.transport:
                session.transport.abort()
