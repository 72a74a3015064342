"""One POST after the other through one handle of libcurl, and what is known of each."""

import re
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import pycurl

from notifier.channels.egress import Network, is_allowed

ANSWER_BYTES = 4096
"""How much of an answer is read, for the error text."""

KEEP_ALIVE_SECONDS = 10
"""Less than common servers keep idle connections, so that few are found closed by the other side."""

NAME_SECONDS = 10
"""How long it is remembered what a name resolves to."""

_STATUS = re.compile(rb"HTTP/1\.[01] +([1-9]\d\d)\s")
_BREAK = re.compile(r"[\r\n\0]")
_BLANK = (b"\r\n", b"\n")
_RETRY_AFTER = b"retry-after:"


@dataclass(slots=True)
class Exchange:
    """What is known of one message on its way: what was dialled, whether bytes may have left, the answer."""

    allowed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    may_have_left: bool = False
    error: str | None = None
    status: int | None = None
    """The answer's, once its head is whole."""
    retry_after: str | None = None
    beginning: bytearray = field(default_factory=bytearray)
    """Of the answer's body, as it came."""

    @property
    def only_blocked(self) -> bool:
        """Whether every address that the name stands for was refused."""
        return bool(self.blocked) and not self.allowed


class Transfer:
    """A handle that is set up once."""

    def __init__(
        self, allowed_networks: Sequence[Network], on_answer: Callable[["Transfer", Exchange], None]
    ) -> None:
        """Dial global addresses and those in `allowed_networks`; tell `on_answer` of each answer's head."""
        self._allowed_networks = allowed_networks
        self._on_answer = on_answer
        self.exchange = Exchange()
        self._anew = False
        self.curl = pycurl.Curl()
        for option, value in (*_options(), *self._callbacks()):
            self.curl.setopt(option, value)

    def prepare(
        self, exchange: Exchange, url: str, headers: list[str], body: bytes, *, anew: bool = False
    ) -> None:
        """Make this the next POST, `anew` over a new connection; `headers` are lines.

        Raises ValueError or pycurl.error for what HTTP cannot say.
        """
        self.exchange, self._ready = exchange, False
        self._body, self._read = body, 0
        self._status_line = b""
        if _BREAK.search("".join(headers)):
            raise ValueError("a header of two lines")
        self.curl.setopt(pycurl.URL, url)
        self.curl.setopt(pycurl.HTTPHEADER, headers)
        self.curl.setopt(pycurl.POSTFIELDSIZE, len(body))
        if anew or self._anew:
            self.curl.setopt(pycurl.FRESH_CONNECT, anew)
            self._anew = anew
        self._ready = True

    def found_dead(self) -> bool:
        """Tell whether the kept connection turned out to be dead before a byte of this POST was sent."""
        if self.exchange.status is not None or not self._read:
            return False
        return not self.curl.getinfo(pycurl.NUM_CONNECTS) and not self.curl.getinfo(pycurl.REQUEST_SIZE)

    def over(self) -> None:
        """Write down whether bytes may have left, if no answer says so; let go of the body."""
        if self.exchange.status is None and self._ready:
            self.exchange.may_have_left = self._read > 0 or self.curl.getinfo(pycurl.REQUEST_SIZE) > 0
        self._body = b""

    def close(self) -> None:
        """Let go of the handle, which holds this object by its callbacks: a circle of many kilobytes."""
        self.curl.close()

    def _callbacks(self) -> Iterator[tuple[int, Any]]:
        yield pycurl.OPENSOCKETFUNCTION, self._open_socket
        # A kept connection may be found dead only after the request was sent. libcurl would then send it
        # again over a new one; as it cannot go back in a body that is read from here, it gives up instead.
        # So never set SEEKFUNCTION, IOCTLFUNCTION or POSTFIELDS here.
        yield pycurl.READFUNCTION, self._more_of_body
        yield pycurl.HEADERFUNCTION, self._on_header
        yield pycurl.WRITEFUNCTION, self._on_body

    def _open_socket(self, _purpose: int, address: Any) -> socket.socket | int:
        """Judge the address that is about to be dialled: what a name resolves to can change at any time."""
        exchange, host = self.exchange, address.addr[0]
        if not is_allowed(ip_address(host), self._allowed_networks):
            exchange.blocked += (host,)
            return pycurl.SOCKET_BAD
        exchange.allowed += (host,)
        try:
            return socket.socket(address.family, address.socktype, address.protocol)
        except OSError as error:  # such as too many open files
            exchange.error = str(error)
            return pycurl.SOCKET_BAD

    def _more_of_body(self, most: int) -> bytes:
        part = self._body[self._read : self._read + most]
        self._read += len(part)
        return part

    def _on_header(self, line: bytes) -> int | None:
        exchange = self.exchange
        if exchange.status is not None:
            return None  # a trailer
        if line.startswith(b"HTTP/"):
            self._status_line, exchange.retry_after = line, None
        elif line in _BLANK:
            return self._on_head(exchange)
        elif exchange.retry_after is None and line[: len(_RETRY_AFTER)].lower() == _RETRY_AFTER:
            exchange.retry_after = line[len(_RETRY_AFTER) :].decode("latin-1").strip()
        return None

    def _on_head(self, exchange: Exchange) -> int | None:
        found = _STATUS.match(self._status_line)
        if not found:
            exchange.error = "the answer is not HTTP"
            return 0  # less than what came: end it
        if (status := int(found[1])) >= 200:  # less are announcements
            exchange.status = status
            self._on_answer(self, exchange)
        return None

    def _on_body(self, part: bytes) -> int | None:
        beginning = self.exchange.beginning
        beginning += part[: ANSWER_BYTES - len(beginning)]
        return None if len(beginning) < ANSWER_BYTES else 0


def _options() -> Iterator[tuple[int, Any]]:
    yield pycurl.NOSIGNAL, 1
    yield pycurl.POST, 1
    yield pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS
    yield pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1
    yield pycurl.PATH_AS_IS, 1
    yield pycurl.PROXY, ""  # nor one from the environment: the guard would judge the proxy's address
    yield pycurl.MAXAGE_CONN, KEEP_ALIVE_SECONDS
    yield pycurl.DNS_CACHE_TIMEOUT, NAME_SECONDS
    # the authorities that Python trusts, SSL_CERT_FILE and SSL_CERT_DIR included; libcurl has a path built in
    trusted = ssl.get_default_verify_paths()
    if trusted.cafile:
        yield pycurl.CAINFO, trusted.cafile
    # beside a file only where SSL_CERT_DIR names one: with it libcurl reads the file for each connection
    if trusted.capath and (not trusted.cafile or trusted.capath != trusted.openssl_capath):
        yield pycurl.CAPATH, trusted.capath
