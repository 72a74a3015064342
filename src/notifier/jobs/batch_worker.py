"""arq's worker, its way of taking and running jobs replaced by one that is made for rings.

arq marks a job, counts its tries, runs it, and strikes it out: six calls to Redis for each. A ring needs
none of this: it says "look at this row", the rows know what has been done, and a ring that is lost is
repeated. So one script takes all jobs of a poll out of the queue at once, and nothing is left to do in Redis
when they end. arq's own worker can share the queue: what it has marked is left to it.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from itertools import takewhile
from signal import Signals
from typing import Any, cast

import structlog
from arq.constants import in_progress_key_prefix, job_key_prefix
from arq.jobs import deserialize_job_raw
from arq.utils import poll, timestamp_ms
from arq.worker import Worker
from redis.exceptions import RedisError

from notifier.clock import monotonic

log = structlog.get_logger(__name__)

CLOSE_WAIT = 3
"""Seconds for each part of the end, such as the farewell to Redis, which may be away."""

RETRY_SECONDS = 1.0
"""Pause after an answer of Redis that makes no sense to us."""

MARKED = 1000
"""Jobs in the hands of arq's own workers that are looked past."""

MOST = 1000
"""Jobs in one answer: Lua hands over a few thousand values at once, not more. A worker has no more in hand,
either, while they end soon: another one may have nothing to do."""

SLOW_SECONDS = 0.3
"""Jobs that have been in hand for longer keep nobody from taking others: their receivers may hang."""

# KEYS: the queue. ARGV: prefix of arq's marks, prefix of payloads, up to which time (ms) jobs are due, how
# many to take, how many to look at.
TAKE = """
local most, looked, mine = tonumber(ARGV[4]), 0, {}
while #mine < most and looked < tonumber(ARGV[5]) do
  local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[3], 'LIMIT', looked, most)
  if #ids == 0 then break end
  local marks = {}
  for i, id in ipairs(ids) do marks[i] = ARGV[1] .. id end
  for i, mark in ipairs(redis.call('MGET', unpack(marks))) do
    if not mark and #mine < most then mine[#mine + 1] = ids[i] end
  end
  looked = looked + #ids
end
if #mine == 0 then return {mine, mine} end
local keys = {}
for i, id in ipairs(mine) do keys[i] = ARGV[2] .. id end
local payloads = redis.call('MGET', unpack(keys))
redis.call('ZREM', KEYS[1], unpack(mine))
redis.call('DEL', unpack(keys))
return {mine, payloads}
"""


class BatchWorker(Worker):
    """Takes as many jobs as it has free places in one round trip, and outlives a Redis that goes away.

    The functions of its jobs may be plain ones that return a future: a task for each would wait all the time.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take what arq's worker takes; a signal to end calls what the context has as `on_signal`."""
        super().__init__(*args, **options)
        self._began: dict[str, float] = {}

    async def main(self) -> None:
        """Start up, then take jobs.

        arq's own first asks Redis for its version: while Redis is away that would keep a scheduler from
        sweeping, and all of it without a word.
        """
        if self.on_startup:
            await self.on_startup(self.ctx)
        async for _ in poll(self.poll_delay_s):
            await self._poll_iteration()
            _go_on_with_a_cancel()
            if self.burst and not await self.pool.zcard(self.queue_name):
                await asyncio.gather(*self.tasks.values())
                return

    def handle_sig_wait_for_completion(self, signum: Signals) -> None:
        """Take no more jobs, and tell so."""
        super().handle_sig_wait_for_completion(signum)
        if "on_signal" in self.ctx:
            self.ctx["on_signal"]()

    async def _poll_iteration(self) -> None:
        """Fill the free places with jobs, then see to those that do not end, and to the cron."""
        wanted = self._wanted()
        if self.allow_pick_jobs and wanted > 0:
            for job_id, payload in await self._take(wanted):
                self._start(job_id, payload)
        self._end_overdue()
        await self.heart_beat()

    def _wanted(self) -> int:
        """Return how many jobs to take; those in hand are in the order in which they began."""
        recent = monotonic() - SLOW_SECONDS
        slow = sum(1 for _ in takewhile(lambda began: began < recent, self._began.values()))
        return min(self.max_jobs - len(self.tasks), MOST - (len(self._began) - slow))

    async def _take(self, most: int) -> list[tuple[str, bytes]]:
        """Take jobs out of the queue; whoever takes them runs them, or they are rung for again."""
        names = (in_progress_key_prefix, job_key_prefix)
        # only cron jobs can lie in the future; a ring is for now, whatever the clock of the host that rang
        until = str(timestamp_ms()) if self.cron_jobs else "+inf"
        call = self.pool.eval(TAKE, 1, self.queue_name, *names, until, most, most + MARKED)  # type: ignore[arg-type]
        try:
            ids, payloads = await cast(Awaitable[list[list[bytes]]], call)
        except RedisError as error:
            log.warning("queue.interrupted", error=repr(error))
            await asyncio.sleep(RETRY_SECONDS)
            return []
        # a payload that is gone was left behind by a queue that lost half of its keys
        return [(job_id.decode(), payload) for job_id, payload in zip(ids, payloads, strict=True) if payload]

    def _start(self, job_id: str, payload: bytes) -> None:
        """Begin a job. It has left the queue already, so there is nothing to tell Redis when it ends."""
        if job_id in self.tasks:
            return  # rung twice, because Redis's answer to the first ring was lost
        try:
            name, args, kwargs, *_ = deserialize_job_raw(payload, deserializer=self.job_deserializer)
            job = asyncio.ensure_future(self.functions[name].coroutine(self.ctx, *args, **kwargs))
        except Exception:
            self.jobs_failed += 1
            log.exception("job.failed", job_id=job_id)
            return
        self.tasks[job_id] = job
        self._began[job_id] = monotonic()
        job.add_done_callback(partial(self._end, job_id))

    def _end(self, job_id: str, job: asyncio.Future[Any]) -> None:
        self.tasks.pop(job_id, None)
        self._began.pop(job_id, None)
        if job.cancelled():
            log.warning("job.interrupted", job_id=job_id)
        elif error := job.exception():
            self.jobs_failed += 1
            log.error("job.failed", job_id=job_id, exc_info=error)
        else:
            self.jobs_complete += 1

    def _end_overdue(self) -> None:
        """Cancel jobs that run for too long. They are in the order in which they began."""
        latest = monotonic() - self.job_timeout_s
        for job_id in list(takewhile(lambda job_id: self._began[job_id] < latest, self._began)):
            del self._began[job_id]
            self.tasks[job_id].cancel()

    async def heart_beat(self) -> None:
        """Enqueue what the cron says. What is missed here, the sweep of our own loop makes up for."""
        try:
            await super().heart_beat()
        except RedisError as error:
            log.warning("heartbeat.interrupted", error=repr(error))

    async def close(self) -> None:
        """End, and only then say farewell to Redis, without waiting: this client tries for ever."""
        shutdown, self.on_shutdown = self.on_shutdown, None
        await _in_time(asyncio.gather(*self.tasks.values(), return_exceptions=True))
        if shutdown:
            await _in_time(shutdown(self.ctx))
        await _in_time(super().close())


def _go_on_with_a_cancel() -> None:
    """End if this task was cancelled: redis-py sends with `wait_for`, which swallows that at times (3.11)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _in_time(work: Awaitable[Any]) -> None:
    """Await `work` for as long as an end may take."""
    with suppress(TimeoutError, asyncio.CancelledError):
        async with asyncio.timeout(CLOSE_WAIT):
            await work
