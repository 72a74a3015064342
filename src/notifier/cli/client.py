"""The HTTP API as commands ask it: with a key, and again where the service says that it will work later."""

import asyncio
import json
import math
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from notifier import clock
from notifier.cli.failures import WRONGLY_CALLED, fail

TRIES = 9
"""How often a call is made before the command gives up: with the waits below, over about two minutes."""

STRANGER_SECONDS = 10.0
"""How long a service is waited for that never answered: most likely it does not run, or not there."""

LONGEST_WAIT = 30.0
"""Seconds between tries, unless the service asks for more."""

CALL_SECONDS = 120.0
"""How long one try may take."""

AGAIN = {429, 500, 502, 503, 504}
UNDER_WAY = "urn:notifier:problem:idempotency-in-progress"


DEFAULT_URL = "http://127.0.0.1:8000"


class GaveUp(Exception):
    """The service could not be asked; the text says why."""


class NeverMet(GaveUp):
    """Nobody ever answered at the service's address."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the service answered."""

    status: int
    headers: Mapping[str, str]
    json: Any


class Client:
    """A client of one service; all calls share its connections. `say` is told once what it waits for."""

    def __init__(self, url: str, key: str, *, connections: int, say: Callable[[str], None]) -> None:
        self._url = url.rstrip("/")
        self._say = say
        self._met = False
        self._waiting = False
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
        began = clock.monotonic()
        for tried in range(TRIES):
            reply, why = await self._answer(method, path, body, headers or {})
            if reply is not None and not _may_succeed_later(reply):
                self._waiting = False
                return reply
            left = math.inf if self._met else began + STRANGER_SECONDS - clock.monotonic()
            if left <= 0 or tried == TRIES - 1:
                break
            self._wait_for(why)
            backoff = min(LONGEST_WAIT, 0.5 * 2**tried) * random.uniform(0.8, 1.2)  # noqa: S311
            asked = _retry_after(reply.headers) if reply else 0.0
            await asyncio.sleep(min(left, max(asked, backoff)))
        if self._met:
            raise GaveUp(why)
        raise NeverMet(f"{why}. Is the service running? --url or NOTIFIER_URL says where")

    async def _answer(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[Reply | None, str]:
        """Return what the service answers, if it does, and what is wrong if that is to be waited out."""
        try:
            reply = await self._try(method, path, body, headers)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return None, f"{self._url} cannot be reached: {_unreachable(error)}"
        except (aiohttp.ClientError, TimeoutError) as error:
            self._met = True
            return None, f"{self._url} gave no answer: {str(error) or type(error).__name__}"
        self._met = True
        return reply, f"{self._url} answers {reply.status}: {detail(reply.json)}"

    def _wait_for(self, why: str) -> None:
        """Say why nothing goes on; one of the calls under way says it for all."""
        if not self._waiting:
            self._say(f"Waiting: {why}")
        self._waiting = True

    async def _try(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        asking = self._session.request(method, self._url + path, data=body, headers=headers)
        async with asking as response:
            return Reply(response.status, response.headers, _json(await response.read()))


def _json(content: bytes) -> Any:
    """Return what an answer holds; None for the page of a proxy, which is no JSON."""
    try:
        return json.loads(content)
    except ValueError:
        return None


def _unreachable(error: aiohttp.ClientError) -> str:
    """Return why there is no connection, in the words of the system where it has some."""
    cause = getattr(error, "os_error", None)
    if cause is None:
        return str(error) or "no answer in time"
    number = cause.errno or 0
    return os.strerror(number) if number > 0 else str(cause.strerror or cause)


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
    return str(problem.get("detail", problem))


def find_url(given: str | None, data_dir: Path) -> str:
    """Return the service's address: as given, or that of the data folder's service; or end the command."""
    url = given or _running_on(data_dir) or DEFAULT_URL
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        fail(f"{url!r} is not the address of a service; one looks like {DEFAULT_URL}", WRONGLY_CALLED)
    return url


def _running_on(data_dir: Path) -> str | None:
    from notifier.embedded.running import address_of

    try:
        return address_of(data_dir)
    except OSError:  # somebody else's folder
        return None


def find_key(given: str | None, url: str | None, data_dir: Path) -> str:
    """Return the API key: as given, or that of the embedded service's data folder; or end the command.

    A folder's key goes to its own service, or where it is told to; not to what listens on the default port.
    """
    if given:
        return given
    try:
        key = (data_dir / "api-key").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        fail(
            f"no API key: set NOTIFIER_API_KEY, or name the folder that holds `api-key` with --data-dir"
            f" (there is none in {data_dir})",
            WRONGLY_CALLED,
        )
    if not url and not _running_on(data_dir):
        fail(
            f"no `notifier up` runs on {data_dir}: start it, or say with --url where the service is",
            WRONGLY_CALLED,
        )
    return key
