"""What a webhook destination may hold: the rules for its URL and its headers, checked on save."""

import re
from ipaddress import IPv4Address
from typing import Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from yarl import URL

from notifier.channels import egress
from notifier.channels.base import MASK, ChannelConfig

URL_LIMIT = 2048
HEADER_COUNT = 20
HEADER_BYTES = 4096

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST_NAME = re.compile(r"(?=.{1,254}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.|$))+", re.ASCII)
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_OWN_HEADERS = frozenset(
    {
        *("host", "connection", "keep-alive", "te", "trailer", "upgrade", "expect"),
        *("content-length", "content-type", "content-encoding", "transfer-encoding"),
        *("proxy-authorization", "proxy-connection"),
    }
)


class WebhookConfig(ChannelConfig):
    """Where a webhook goes, and headers that the receiver wants."""

    confidential: ClassVar[str | None] = "headers"

    url: str = Field(max_length=URL_LIMIT)
    headers: dict[str, str] = Field(default_factory=dict)

    @property
    def label(self) -> str:
        """The host, and the port if it is not the scheme's own: the path may be a secret."""
        url = URL(self.url)
        host = url.host or "webhook"
        if url.is_default_port():
            return host
        return f"[{host}]:{url.port}" if ":" in host else f"{host}:{url.port}"

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str, info: ValidationInfo) -> str:
        url = _parse(value)
        _check_parts(url)
        if not _may_be_dialled(url, (info.context or {}).get("settings")):
            raise PydanticCustomError(
                "address_not_allowed",
                "the URL points to a private or special address; "
                "whoever runs the service can allow networks with NOTIFIER_ALLOW_PRIVATE_DESTINATIONS",
            )
        if len(str(url)) > URL_LIMIT:
            raise _invalid_url(f"the URL is longer than {URL_LIMIT} characters")
        return str(url)

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, value: dict[str, str]) -> dict[str, str]:
        if len(value) > HEADER_COUNT or sum(len(k) + len(v) for k, v in value.items()) > HEADER_BYTES:
            raise _invalid_header(f"at most {HEADER_COUNT} headers and {HEADER_BYTES} characters in total")
        if len({name.lower() for name in value}) < len(value):
            raise _invalid_header("a header is given twice")
        for name, content in value.items():
            _check_header(name, content)
        return value


def _parse(value: str) -> URL:
    # yarl and urllib drop some of these silently: what is checked must be what is sent.
    if any(ch.isspace() or not ch.isprintable() for ch in value):
        raise _invalid_url("the URL holds blanks or control characters")
    try:
        url = URL(value)
        url.port  # noqa: B018 - raises for a bad port
    except ValueError as error:
        raise _invalid_url("this is not a valid URL") from error
    return url


def _check_parts(url: URL) -> None:
    if url.scheme not in ("http", "https"):
        raise _invalid_url("the URL must begin with http:// or https://")
    if not url.raw_host:
        raise _invalid_url("the URL has no host")
    _check_host(url.raw_host)
    if url.port == 0:
        raise _invalid_url("the URL's port is not valid")
    if url.user is not None or url.password is not None:
        raise _invalid_url("put credentials into headers (such as Authorization), not into the URL")
    if url.raw_fragment:
        raise _invalid_url("a URL for a webhook has no #fragment")


def _check_host(host: str) -> None:
    address = egress.literal(host.rstrip("."))
    if isinstance(address, IPv4Address) and str(address) != host:
        raise _invalid_url(f"write the URL's address as {address}")
    if address is None and not _HOST_NAME.fullmatch(host):
        raise _invalid_url("the URL's host is not valid")


def _may_be_dialled(url: URL, settings: Any) -> bool:
    """Judge addresses that stand in the URL itself; names are judged when they are dialled."""
    host = (url.raw_host or "").rstrip(".")
    address = egress.literal(host)
    if address is None and (host == "localhost" or host.endswith(".localhost")):
        address = egress.literal("127.0.0.1")
    allowed = settings.allow_private_destinations if settings else ()
    return address is None or egress.is_allowed(address, allowed)


def _check_header(name: str, value: str) -> None:
    if not _NAME.fullmatch(name):
        raise _invalid_header(f"{name!r} is not a valid header name")
    if name.lower() in _OWN_HEADERS or name.lower().startswith("webhook-"):
        raise _invalid_header(f"the header {name} is set by the service")
    if value == MASK:
        raise _invalid_header(f"give the value of {name} again: it is never shown, so it cannot be sent back")
    if not _VALUE.fullmatch(value) or value != value.strip():
        raise _invalid_header(f"the header {name} holds characters that headers cannot hold")


def _invalid_url(detail: str) -> PydanticCustomError:
    return PydanticCustomError("invalid_url", "{detail}", {"detail": detail})


def _invalid_header(detail: str) -> PydanticCustomError:
    return PydanticCustomError("invalid_header", "{detail}", {"detail": detail})
