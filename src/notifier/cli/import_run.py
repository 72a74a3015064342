"""Rows become notifications: in batches, some at once, sent again until it is known what became of them."""

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from notifier.cli.client import Client, Reply, detail
from notifier.cli.import_ids import TAKEN, ExternalIds, external_id
from notifier.cli.import_rows import Row, Unreadable

NOTIFICATIONS = "/v1/notifications"
BULK = f"{NOTIFICATIONS}/bulk"
LARGEST_BATCH = 8 * 1024 * 1024
"""Bytes of one call: half of what the service takes."""

REFUSED = {401, 403, 404, 405}
"""Answers that mean every row: the address or the key is wrong."""


Batch = Sequence[tuple[Row, bytes]]
"""Rows with the JSON that is sent."""


class Stopped(Exception):
    """Nothing more can be imported; the text says why."""


@dataclass(slots=True)
class Tally:
    """What became of the rows so far; `reject` is told of each that was refused, and why."""

    reject: Callable[[Row, Any], None]
    created: int = 0
    updated: int = 0
    already_there: int = 0
    rejected: int = 0

    @property
    def done(self) -> int:
        """How many rows it is known of."""
        return self.created + self.updated + self.already_there + self.rejected

    def count(self, row: Row, status: int, problem: Any) -> None:
        """Take down what became of a row."""
        if status < 300:
            self.created += status == 201
            self.updated += status != 201
        elif isinstance(problem, dict) and problem.get("type") == TAKEN:
            self.already_there += 1
        else:
            self.refuse(row, problem)

    def refuse(self, row: Row, problem: Any) -> None:
        """Take down that a row is rejected."""
        self.rejected += 1
        self.reject(row, problem)


def batches(rows: Iterator[Row], size: int) -> Iterator[Batch]:
    """Yield the rows with their JSON in batches of up to `size` and 8 MiB.

    Raises Unreadable after what stands before the break.
    """
    batch: list[tuple[Row, bytes]] = []
    weight = 0
    ids = ExternalIds()
    broken: Unreadable | None = None
    try:
        for row, body in map(ids.complete, rows):
            if batch and (len(batch) == size or weight + len(body) > LARGEST_BATCH):
                yield batch
                batch, weight = [], 0
            batch.append((row, body))
            weight += len(body)
    except Unreadable as error:
        broken = error
    if batch:
        yield batch
    if broken is not None:
        raise broken


class Importer:
    """Sends batches and counts what becomes of their rows."""

    def __init__(self, client: Client, tally: Tally, *, update: bool) -> None:
        self._client = client
        self._tally = tally
        self._update = update

    async def send(self, batch: Batch) -> None:
        """Import one batch. Raises Stopped, and GaveUp if the service stays away."""
        good = [one for one in batch if one[0].error is None]
        for row in (row for row, _ in batch if row.error is not None):
            self._tally.refuse(row, {"type": row.type, "detail": row.error})
        own = [row for row, _ in good if self._update and external_id(row) is not None]
        # what has a derived id is the same as what is there: nothing to replace
        others = [one for one in good if not (self._update and external_id(one[0]) is not None)]
        if others:
            await self._create(others)
        await asyncio.gather(*map(self._put, own))

    async def _create(self, batch: Batch) -> None:
        body = b'{"items":[' + b",".join(one for _, one in batch) + b"]}"
        # The key is for this call alone: if its answer gets lost, the next try learns what it made.
        headers = {"Idempotency-Key": f"import-{uuid.uuid4()}", "Prefer": "return=minimal"}
        reply = await self._client.call("POST", BULK, body, headers)
        if reply.status == 200:
            for (row, _), result in zip(batch, _items(reply), strict=True):
                self._tally.count(row, result["status"], result.get("problem"))
        elif len(batch) > 1 and reply.status == 413:
            middle = len(batch) // 2
            for half in (batch[:middle], batch[middle:]):
                await self._create(half)
        elif reply.status in REFUSED:
            raise Stopped(detail(reply.json))
        else:
            for row, _ in batch:
                self._tally.count(row, reply.status, reply.json)

    async def _put(self, row: Row) -> None:
        value = {name: given for name, given in row.value.items() if name != "external_id"}
        path = f"{NOTIFICATIONS}/by-external-id/{quote(external_id(row) or '', safe='')}"
        reply = await self._client.call("PUT", path, json.dumps(value).encode())
        if reply.status in REFUSED:
            raise Stopped(detail(reply.json))
        self._tally.count(row, reply.status, reply.json)


def _items(reply: Reply) -> Sequence[Any]:
    if not isinstance(reply.json, dict) or "items" not in reply.json:
        raise Stopped("what answers there is not notifier")
    items: Sequence[Any] = reply.json["items"]
    return items


async def run(
    importer: Importer,
    rows: Iterator[Batch],
    parallel: int,
    done: Callable[[Batch], None],
) -> None:
    """Send the batches, up to `parallel` at once; the first that cannot be sent ends it.

    Where the file cannot be read on, what stands before that is still sent.
    """
    running: set[asyncio.Task[None]] = set()

    async def one(batch: Batch) -> None:
        await importer.send(batch)
        done(batch)

    try:
        # on a thread: standard input may be slow, and the calls under way go on
        while (batch := await asyncio.to_thread(next, rows, None)) is not None:
            running.add(asyncio.create_task(one(batch)))
            if len(running) >= parallel:
                running = await _drain(running, asyncio.FIRST_COMPLETED)
        await _drain(running, asyncio.FIRST_EXCEPTION)
    except Unreadable:
        await _drain(running, asyncio.FIRST_EXCEPTION)
        raise
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _drain(running: set[asyncio.Task[None]], until: str) -> set[asyncio.Task[None]]:
    finished, still = await asyncio.wait(running, return_when=until) if running else (set(), set())
    for task in finished:
        task.result()
    return still
