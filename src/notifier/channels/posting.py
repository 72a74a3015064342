"""HTTP POST, once: over kept connections, to addresses that may be dialled, and not again unasked."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import partial

from notifier import failpoints
from notifier.channels.curl_loop import CurlLoop
from notifier.channels.egress import Network
from notifier.channels.transfer import KEEP_ALIVE_SECONDS, Exchange, Transfer

ANSWER_SECONDS = 0.5
"""How long the answer's body is waited for: its status has decided already."""

CLOSING_SECONDS = 2
"""How long an end waits for what libcurl is about, such as a name that is being resolved."""

MOST_IDLE = 1000
"""Connections that are kept though nobody uses them."""


class Post:
    """One message on its way, until it has ended."""

    __slots__ = ("_curls", "_ended", "_exchange", "_poster", "_request", "_stopped", "_transfer")

    def __init__(
        self,
        poster: "Poster",
        curls: CurlLoop,
        exchange: Exchange,
        request: tuple[str, list[str], bytes],
        ended: Callable[[], None],
    ) -> None:
        self._poster = poster
        self._curls = curls
        self._exchange = exchange
        self._request = request
        self._ended = ended
        self._stopped = False
        self._transfer: Transfer | None = None

    def start(self, transfer: Transfer, *, anew: bool = False) -> None:
        """Send it, `anew` over a new connection."""
        self._transfer = transfer
        try:
            transfer.prepare(self._exchange, *self._request, anew=anew)
            self._curls.start(transfer.curl, partial(self._on_end, transfer))
        except Exception as error:
            # such as a header that libcurl cannot take, which the error's own text would show
            self._finish(transfer, f"the request cannot be written ({type(error).__name__})")

    def stop(self) -> None:
        """End it now; one that has ended stays as it is."""
        self._stopped = True
        if self._transfer is not None:
            self._curls.stop(self._transfer.curl)

    def _on_end(self, transfer: Transfer, error: str | None) -> None:
        if not self._stopped and transfer.found_dead() and self._poster.uses(self._curls):
            self.start(transfer, anew=True)
        else:
            self._finish(transfer, error)

    def _finish(self, transfer: Transfer, error: str | None) -> None:
        self._exchange.error = self._exchange.error or error
        self._transfer = None
        transfer.over()
        self._poster.take_back(transfer, self._curls)
        ended = self._ended
        del self._ended  # no circle of references is left of what is over
        ended()


class Poster:
    """Sends POSTs on one event loop. Opens nothing before the first one."""

    def __init__(self, allowed_networks: Sequence[Network]) -> None:
        """Dial global addresses and those in `allowed_networks`."""
        self._allowed_networks = allowed_networks
        self._curls: CurlLoop | None = None
        self._transfers = 0
        self._free: list[Transfer] = []
        self._answering: list[tuple[Transfer, Exchange]] = []
        self._resting_since = 0.0
        self._rest: asyncio.TimerHandle | None = None

    def begin(
        self, exchange: Exchange, url: str, headers: list[str], body: bytes, ended: Callable[[], None]
    ) -> Post:
        """POST once, and write down in `exchange` what becomes of it; no time-out of its own.

        `headers` are lines. `ended` is called at the end, perhaps at once. What is stopped still tells
        whether bytes may have left.
        """
        failpoints.reach(failpoints.REQUEST_LEFT)
        if self._curls is None:
            self._curls = CurlLoop(MOST_IDLE)
        post = Post(self, self._curls, exchange, (url, headers, body), ended)
        post.start(self._free.pop() if self._free else self._transfer(self._curls))
        return post

    def uses(self, curls: CurlLoop) -> bool:
        """Tell whether new messages go out there."""
        return curls is self._curls

    async def aclose(self) -> None:
        """Close the connections that are kept alive; may be called more than once."""
        if self._rest:
            self._rest.cancel()
            self._rest = None
        if closing := self._close():
            await asyncio.to_thread(closing.join, CLOSING_SECONDS)

    def _transfer(self, curls: CurlLoop) -> Transfer:
        transfer = Transfer(self._allowed_networks, self._on_answer)
        curls.adopt(transfer.curl)
        self._transfers += 1
        return transfer

    def take_back(self, transfer: Transfer, curls: CurlLoop) -> None:
        """Keep a handle for the next message."""
        if curls is not self._curls:
            transfer.close()
            return
        self._free.append(transfer)
        if len(self._free) == self._transfers:
            loop = asyncio.get_running_loop()
            self._resting_since = loop.time()
            if self._rest is None:
                self._rest = loop.call_later(KEEP_ALIVE_SECONDS, self._on_rest)

    def _on_answer(self, transfer: Transfer, exchange: Exchange) -> None:
        """Note that a status has come; most answers are over a moment later."""
        if not self._answering:
            asyncio.get_running_loop().call_soon(self._await_bodies)
        self._answering.append((transfer, exchange))

    def _await_bodies(self) -> None:
        answering, self._answering = self._answering, []
        for transfer, exchange in answering:
            if self._curls and self._curls.runs(transfer.curl):
                asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._end, transfer, exchange)

    def _end(self, transfer: Transfer, exchange: Exchange) -> None:
        if transfer.exchange is exchange and self._curls:
            self._curls.stop(transfer.curl)

    def _on_rest(self) -> None:
        """Close the connections once nobody has sent for so long: libcurl would do so at the next POST."""
        self._rest = None
        if len(self._free) < self._transfers:
            return
        loop = asyncio.get_running_loop()
        left = self._resting_since + KEEP_ALIVE_SECONDS - loop.time()
        if left > 0:
            self._rest = loop.call_later(left, self._on_rest)
        else:
            self._close()

    def _close(self) -> threading.Thread | None:
        curls, self._curls = self._curls, None
        for transfer in self._free:
            transfer.close()
        self._free.clear()
        self._transfers = 0
        return curls.close() if curls else None
