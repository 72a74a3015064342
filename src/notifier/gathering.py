"""Many small pieces of work become one: what comes within some milliseconds is done together."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from notifier.clock import monotonic

AT_ONCE = 2
"""Batches in work at the same time."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item]):
    """Gathers items for `window` seconds, or until there are `most`, and hands them to `work` together.

    No more than `at_once` batches are in work; what comes meanwhile waits and grows the next one, so that a
    slow `work` gets few large batches rather than many small ones. With `patience`, a second one begins only
    once the last one has been in work for so many seconds, and so may be held up by something. Nobody waits
    for an item, so `work` itself has to see to its errors.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Coroutine[Any, Any, None]],
        *,
        window: float,
        most: int,
        at_once: int = AT_ONCE,
        patience: float = 0,
    ) -> None:
        self._work = work
        self._window = window
        self._most = most
        self._at_once = at_once
        self._patience = patience
        self._waiting: list[Item] = []
        self._timer: asyncio.TimerHandle | None = None
        self._running: dict[asyncio.Task[None], float] = {}

    def add(self, item: Item) -> None:
        """Have `item` worked on together with others."""
        self._waiting.append(item)
        if len(self._waiting) >= self._most:
            self._flush()
        elif self._timer is None:
            self._wake_in(self._window)

    def _wake_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._flush()

    def _flush(self) -> None:
        """Begin as many batches as may be in work."""
        while self._waiting and len(self._running) < self._at_once:
            last = max(self._running.values(), default=float("-inf"))
            early = last + self._patience - monotonic()
            if early > 0:
                if self._timer is None:
                    self._wake_in(early)
                return
            self._begin()

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        task = asyncio.create_task(self._work(batch))
        self._running[task] = monotonic()
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        """Start the next batch: it has waited for long enough."""
        del self._running[task]
        self._flush()


class Gatherer(Generic[Item, Result]):
    """Calls that are gathered as a Batcher does it, and each of which waits for its own result.

    `work` returns a result for each item, in order, or its error; an error that it raises is that of all of
    them. A caller that is cancelled takes nothing from the others: only its own result is dropped.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        window: float,
        most: int,
        at_once: int = AT_ONCE,
    ) -> None:
        self._work = work
        self._calls: Batcher[tuple[Item, asyncio.Future[Result]]] = Batcher(
            self._answer, window=window, most=most, at_once=at_once
        )

    async def __call__(self, item: Item) -> Result:
        """Return the result for `item` once its batch is done. Raises what the batch raised."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._calls.add((item, future))
        return await future

    async def _answer(self, calls: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._work([item for item, _ in calls])
        except BaseException as error:
            for _, future in calls:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, future), result in zip(calls, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
