"""The HTTP API as commands ask it: with a key, and again where the service says that it will work later."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from notifier.cli.failures import WRONGLY_CALLED, fail

TRIES = 9
"""How often a call is made before the command gives up: with the waits below, over about two minutes."""

LONGEST_WAIT = 30.0
"""Seconds between tries, unless the service asks for more."""

CALL_SECONDS = 120.0
"""How long one try may take."""

AGAIN = {429, 500, 502, 503, 504}
UNDER_WAY = "urn:notifier:problem:idempotency-in-progress"


class GaveUp(Exception):
    """The service could not be asked; the text says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the service answered."""

    status: int
    headers: Mapping[str, str]
    json: Any


class Client:
    """A client of one service; all calls share its connections."""

    def __init__(self, url: str, key: str, *, connections: int) -> None:
        self._url = url.rstrip("/")
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            connector=aiohttp.TCPConnector(limit=connections),
            timeout=aiohttp.ClientTimeout(total=CALL_SECONDS, connect=10),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Return the answer; a call that may succeed later is made again. Raises GaveUp."""
        why = ""
        for tried in range(TRIES):
            asked = 0.0
            try:
                reply = await self._try(method, path, body, headers or {})
            except (aiohttp.ClientError, TimeoutError) as error:
                why = f"{self._url} cannot be reached: {str(error) or type(error).__name__}"
            else:
                if not _may_succeed_later(reply):
                    return reply
                why = f"{self._url} answers {reply.status}: {detail(reply.json)}"
                asked = _retry_after(reply.headers)
            if tried < TRIES - 1:
                backoff = min(LONGEST_WAIT, 0.5 * 2**tried) * random.uniform(0.8, 1.2)  # noqa: S311
                await asyncio.sleep(max(asked, backoff))
        raise GaveUp(why)

    async def _try(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        asking = self._session.request(method, self._url + path, data=body, headers=headers)
        async with asking as response:
            content = await response.json(content_type=None) if response.content_length != 0 else None
            return Reply(response.status, response.headers, content)


def _may_succeed_later(reply: Reply) -> bool:
    known = isinstance(reply.json, dict) and reply.json.get("type") == UNDER_WAY
    return reply.status in AGAIN or known


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds that the service asks to wait; it gives them as a number."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else 0.0


def detail(problem: object) -> str:
    """Return what a problem document says to people, in one line."""
    if not isinstance(problem, dict):
        return "no answer that can be read"
    errors = problem.get("errors") or []
    told = "; ".join(f"{one['pointer'].lstrip('/') or 'item'}: {one['detail']}" for one in errors)
    return told or str(problem.get("detail", problem))


def check_url(url: str) -> str:
    """Return the service's address, or end the command."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        fail(f"{url!r} is not the address of a service; one looks like http://127.0.0.1:8000", WRONGLY_CALLED)
    return url


def find_key(given: str | None, data_dir: Path) -> str:
    """Return the API key: as given, or that of the embedded service's data folder; or end the command."""
    if given:
        return given
    try:
        return (data_dir / "api-key").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        fail(
            f"no API key: set NOTIFIER_API_KEY, or name the folder that holds `api-key` with --data-dir"
            f" (there is none in {data_dir})",
            WRONGLY_CALLED,
        )
