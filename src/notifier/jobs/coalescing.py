"""A Redis client that sends the transactions of many jobs in one round trip.

arq runs a small MULTI/EXEC block at the start and at the end of every job. With hundreds of jobs at once, the
blocks of one turn of the event loop go out together, each still a transaction of its own.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from arq.connections import ArqRedis
from redis.asyncio.client import Pipeline
from redis.exceptions import ResponseError

Block = Sequence[tuple[Any, ...]]

MOST_BLOCKS = 200
"""Blocks sent in one round trip."""


class CoalescingRedis(ArqRedis):
    """arq's client, whose pipelines wait for the end of the loop's turn and then go out together."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: list[tuple[Block, asyncio.Future[list[Any]]]] = []
        self._sending: set[asyncio.Task[None]] = set()

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Return a pipeline; a transaction without WATCH shares its round trip with others."""
        if not transaction:
            return super().pipeline(transaction, shard_hint)
        return CoalescedPipeline(self, self.connection_pool, self.response_callbacks, transaction, shard_hint)

    async def run_block(self, block: Block) -> list[Any]:
        """Run commands as one transaction; return their answers. Raises the error of one that failed."""
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append((block, answer))
        return await answer

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), MOST_BLOCKS):
            task = asyncio.create_task(self._send(waiting[start : start + MOST_BLOCKS]))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, waiting: list[tuple[Block, asyncio.Future[list[Any]]]]) -> None:
        """Send the blocks, and give each waiter its answer; one who has gone away harms no other."""
        try:
            answers = await self._exchange_with_retry([block for block, _ in waiting])
        except BaseException as error:
            answers = [error] * len(waiting)
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            for (_, future), answer in zip(waiting, answers, strict=True):
                _settle(future, answer)

    async def _exchange_with_retry(self, blocks: list[Block]) -> list[Any]:
        connection = await self.connection_pool.get_connection()
        try:
            answers: list[Any] = await connection.retry.call_with_retry(
                lambda: _exchange(connection, blocks), lambda _: connection.disconnect()
            )
            return answers
        finally:
            await self.connection_pool.release(connection)


class CoalescedPipeline(Pipeline):
    """A pipeline that hands its commands to the client, unless it watches keys."""

    def __init__(self, client: CoalescingRedis, *args: Any) -> None:
        super().__init__(*args)
        self._client = client

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Run the commands as one transaction, in company."""
        if self.watching or self.scripts or not self.command_stack:
            return await super().execute(raise_on_error)
        block = [args for args, _ in self.command_stack]
        await self.reset()  # type: ignore[no-untyped-call]
        return await self._client.run_block(block)


async def _exchange(connection: Any, blocks: list[Block]) -> list[Any]:
    """Send all blocks, read all answers: a list for a block that ran, an error for one that did not."""
    commands = [command for block in blocks for command in (("MULTI",), *block, ("EXEC",))]
    await connection.send_packed_command(connection.pack_commands(commands))
    return [await _read_block(connection, len(block)) for block in blocks]


async def _read_block(connection: Any, size: int) -> Any:
    refused: ResponseError | None = None
    # MULTI says OK, every command QUEUED
    for _ in range(size + 1):
        try:
            await connection.read_response()
        except ResponseError as error:
            refused = refused or error
    try:
        answers = await connection.read_response()
    except ResponseError as error:
        return refused or error
    failed = next((answer for answer in answers if isinstance(answer, ResponseError)), None)
    return failed or answers


def _settle(future: asyncio.Future[list[Any]], answer: Any) -> None:
    if future.done():
        return
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)
