"""Visitors of bulkheads that are coroutines: they hold a place while they are inside."""

import asyncio
from collections.abc import Hashable

from notifier.pipeline.bulkheads import Bulkheads, Place


class Crowded(Exception):
    """There is no place, and none to be expected soon."""


class Stay:
    """One place, held between entry and exit by the coroutine that visits."""

    __slots__ = ("_bulkheads", "_crowded", "_key", "_place", "_wait")

    def __init__(self, bulkheads: Bulkheads, key: Hashable) -> None:
        self._bulkheads = bulkheads
        self._key = key
        self._place: Place | None = None
        self._crowded = False
        self._wait: asyncio.Future[None] | None = None

    async def __aenter__(self) -> None:
        self._bulkheads.enter(self._key, self)
        if self._place is None:
            await self._wait_for_place()

    async def __aexit__(self, error: object, *_: object) -> None:
        if self._place is not None:
            self._place.leave(well=error is None)

    async def _wait_for_place(self) -> None:
        if self._crowded:
            raise Crowded
        self._wait = asyncio.get_running_loop().create_future()
        try:
            await self._wait
        except asyncio.CancelledError:
            if self._place is not None:
                # it was given at the same moment
                self._place.leave(well=False)
            raise

    def done(self) -> bool:
        """Say whether the coroutine has gone."""
        return self._wait is not None and self._wait.done()

    def let_in(self, place: Place) -> None:
        """Take the place."""
        self._place = place
        if self._wait is not None:
            self._wait.set_result(None)

    def send_away(self) -> None:
        """Wait no longer."""
        self._crowded = True
        if self._wait is not None:
            self._wait.set_exception(Crowded())
