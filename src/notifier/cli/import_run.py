"""Rows become notifications: in batches, some at once, sent again until it is known what became of them."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from notifier.cli.client import Client, Reply, detail
from notifier.cli.import_rows import Row, Unreadable

NOTIFICATIONS = "/v1/notifications"
BULK = f"{NOTIFICATIONS}/bulk"
LARGEST_BATCH = 8 * 1024 * 1024
"""Bytes of one call: half of what the service takes."""

TAKEN = "urn:notifier:problem:duplicate-external-id"
REFUSED = {401, 403, 404, 405}
"""Answers that mean every row: the address or the key is wrong."""


Batch = Sequence[tuple[Row, bytes]]
"""Rows with their JSON."""


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
            self.rejected += 1
            self.reject(row, problem)


def batches(rows: Iterator[Row], size: int) -> Iterator[Batch]:
    """Yield the rows with their JSON in batches of up to `size` and 8 MiB, cut at the same rows always.

    Raises Unreadable after what stands before the break.
    """
    batch: list[tuple[Row, bytes]] = []
    weight = 0
    broken: Unreadable | None = None
    try:
        for row in rows:
            body = b"" if row.error else json.dumps(row.value, separators=(",", ":")).encode()
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
        good = []
        for row, body in batch:
            if row.error is None:
                good.append((row, body))
            else:
                self._tally.count(row, 400, {"detail": row.error})
        own = [one for one in good if self._update and _external_id(one[0]) is not None]
        others = good if not own else [one for one in good if one not in own]
        if others:
            await self._create(others, _key(others))
        await asyncio.gather(*(self._put(row) for row, _ in own))

    async def _create(self, batch: Batch, key: str) -> None:
        body = b'{"items":[' + b",".join(one for _, one in batch) + b"]}"
        headers = {"Idempotency-Key": key, "Prefer": "return=minimal"}
        reply = await self._client.call("POST", BULK, body, headers)
        if reply.status == 200:
            await self._count(batch, reply, key)
        elif len(batch) > 1 and reply.status == 413:
            middle = len(batch) // 2
            for half in (batch[:middle], batch[middle:]):
                await self._create(half, _key(half))
        elif reply.status in REFUSED:
            raise Stopped(detail(reply.json))
        else:
            for row, _ in batch:
                self._tally.count(row, reply.status, reply.json)

    async def _count(self, batch: Batch, reply: Reply, key: str) -> None:
        if "Idempotent-Replayed" in reply.headers:
            await self._recount(batch, reply.json["items"], key)
            return
        for (row, _), result in zip(batch, reply.json["items"], strict=True):
            self._tally.count(row, result["status"], result.get("problem"))

    async def _recount(self, batch: Batch, results: Sequence[Any], key: str) -> None:
        """Count what an earlier run did; what it could not do, or what is gone since, is sent anew."""
        there = await asyncio.gather(
            *(self._is_there(row, result) for (row, _), result in zip(batch, results, strict=True))
        )
        self._tally.already_there += sum(there)
        anew = [one for one, is_there in zip(batch, there, strict=True) if not is_there]
        if anew:
            await self._create(anew, _key(anew, key))

    async def _is_there(self, row: Row, result: Any) -> bool:
        """Say whether what an earlier run made is still there; with an external id a new try tells that."""
        if result["status"] >= 400 or _external_id(row) is not None:
            return False
        return (await self._client.call("GET", f"{NOTIFICATIONS}/{result['id']}")).status == 200

    async def _put(self, row: Row) -> None:
        value = {name: given for name, given in row.value.items() if name != "external_id"}
        path = f"{NOTIFICATIONS}/by-external-id/{quote(_external_id(row) or '', safe='')}"
        reply = await self._client.call("PUT", path, json.dumps(value).encode())
        if reply.status in REFUSED:
            raise Stopped(detail(reply.json))
        self._tally.count(row, reply.status, reply.json)


def _external_id(row: Row) -> str | None:
    found = row.value.get("external_id") if isinstance(row.value, dict) else None
    return found if isinstance(found, str) and found else None


def _key(batch: Batch, before: str = "") -> str:
    """Return the Idempotency-Key of a batch: the same whenever the same file is imported.

    So a run that was cut short can be started again, also where rows have no external id. What an earlier
    run could not do is sent anew under a key that follows from the one `before`.
    """
    digest = hashlib.sha256(before.encode())
    for row, body in batch:
        digest.update(b"%d:%d:%b\n" % (row.line, row.offset, body))
    return f"import-{digest.hexdigest()}"


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
