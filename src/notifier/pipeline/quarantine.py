"""Suspects: deliveries with which several workers in a row have died.

One of them may be what kills; the others were merely in the same hands. So a worker claims one of them at a
time, and whom it dies with next is the one: the others are not even claimed.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from notifier.pipeline.bookkeeping import Bookkeeping
from notifier.pipeline.bulkheads import Bulkheads
from notifier.pipeline.in_hand import InHand

WATCH = 10.0
"""Seconds without an end after which nobody waits for the only place: a receiver may well take its time."""

log = structlog.get_logger(__name__)


class Quarantine:
    """Holds suspects until each may be claimed alone."""

    def __init__(self, books: Bookkeeping, claim: Callable[[InHand], None]) -> None:
        """Have `claim` called for one after the other, as soon as the one before is over."""
        self._books = books
        self._claim = claim
        self._room = Bulkheads(1, 1, WATCH)
        self._closed = False

    async def take_in(self, unclaimed: Sequence[InHand]) -> None:
        """Keep the suspects among those that could not be claimed; the others are over."""
        for one, suspect in zip(unclaimed, await self._suspects(unclaimed), strict=True):
            if suspect and not one.done():
                one.move(self._room, "suspects", self._let_in)
            else:
                one.end(well=False)

    def close(self) -> None:
        """Claim no more of them: the process is about to end, and must not end with one in hand."""
        self._closed = True

    def _let_in(self, one: InHand) -> None:
        if self._closed:
            # not at once: each that ends lets the next one in
            asyncio.get_running_loop().call_soon(partial(one.end, well=False))
        else:
            self._claim(one)

    async def _suspects(self, unclaimed: Sequence[InHand]) -> list[bool]:
        try:
            return await self._books.suspects([one.wanted for one in unclaimed])
        except Exception as error:
            # nothing has been written: the rescuer rings again
            log.warning("suspects.unknown", error=repr(error))
            return [False] * len(unclaimed)
