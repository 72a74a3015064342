"""Many small pieces of work become one: what comes within some milliseconds is done together."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

AT_ONCE = 2
"""Batches in work at the same time."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item]):
    """Gathers items for `window` seconds, or until there are `most`, and hands them to `work` together.

    No more than `at_once` batches are in work; what comes meanwhile waits and grows the next one, so that a
    slow `work` gets few large batches rather than many small ones. Nobody waits for an item, so `work` itself
    has to see to its errors.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Coroutine[Any, Any, None]],
        *,
        window: float,
        most: int,
        at_once: int = AT_ONCE,
    ) -> None:
        self._work = work
        self._window = window
        self._most = most
        self._at_once = at_once
        self._waiting: list[Item] = []
        self._timer: asyncio.TimerHandle | None = None
        self._running: set[asyncio.Task[None]] = set()

    def add(self, item: Item) -> None:
        """Have `item` worked on together with others."""
        self._waiting.append(item)
        if len(self._waiting) >= self._most:
            self._flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._window, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting and len(self._running) < self._at_once:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            task = asyncio.create_task(self._work(batch))
            self._running.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        """Start the next batch: it has waited for long enough."""
        self._running.discard(task)
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
