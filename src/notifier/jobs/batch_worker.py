"""arq's worker with its slow parts done for many jobs at once; running and finishing jobs stay arq's own.

arq looks at every job with WATCH, EXISTS, ZSCORE, MULTI and EXEC, one job after the other. Here one script
takes all jobs of a poll, and leaves the same keys behind, so arq's own workers can share the queue. arq 0.28
is frozen, which makes this coupling bearable; it is pinned, and a test runs both on one queue.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, cast

import structlog
from arq.constants import in_progress_key_prefix
from arq.worker import Worker
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

CLOSE_WAIT = 3
"""Seconds for the farewell to Redis, which may be away."""

# KEYS: the queue. ARGV: prefix of the marks, how long one holds (ms), how many jobs to take, job ids. Jobs
# that a dead worker has marked stand first in the queue, so more ids are looked at than are taken.
TAKE = """
local taken = {}
for i = 4, #ARGV do
  if #taken >= 2 * tonumber(ARGV[3]) then break end
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and redis.call('SET', ARGV[1] .. ARGV[i], '1', 'NX', 'PX', ARGV[2]) then
    taken[#taken + 1] = ARGV[i]
    taken[#taken + 1] = score
  end
end
return taken
"""


class BatchWorker(Worker):
    """Takes all free places' worth of jobs in one round trip, and outlives a Redis that goes away."""

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Take as many of the jobs as there are free places and start them."""
        free = self.max_jobs - self.job_counter
        wanted = [job_id for job_id in job_ids if job_id.decode() not in self.tasks]
        if not wanted or free <= 0:
            return
        try:
            taken = await self._take(wanted, free)
        except RedisError as error:
            # what was taken without our knowing is rung for again
            log.warning("queue.interrupted", error=repr(error))
            return
        for job_id, score in zip(taken[::2], taken[1::2], strict=True):
            await self._start(job_id.decode(), int(float(score)))

    async def _take(self, wanted: list[bytes], most: int) -> list[bytes]:
        hold_ms = int(self.in_progress_timeout_s * 1000)
        arguments: tuple[Any, ...] = (self.queue_name, in_progress_key_prefix, hold_ms, most, *wanted)
        return cast(list[bytes], await cast(Awaitable[Any], self.pool.eval(TAKE, 1, *arguments)))

    async def _start(self, job_id: str, score: int) -> None:
        """Start one job as arq does, with its own place among those that run."""
        await self.sem.acquire()
        self.job_counter += 1
        task = self.loop.create_task(self.run_job(job_id, score))
        task.add_done_callback(lambda _: self._release_sem_dec_counter_on_complete())
        self.tasks[job_id] = task

    async def heart_beat(self) -> None:
        """Enqueue what the cron says. What is missed here, the sweep of our own loop makes up for."""
        try:
            await super().heart_beat()
        except RedisError as error:
            log.warning("heartbeat.interrupted", error=repr(error))

    async def close(self) -> None:
        """Say farewell to Redis, but do not wait for it: this client tries for ever."""
        # jobs that were still trying to tell it that they are done have been cancelled by now
        with suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(CLOSE_WAIT):
                await super().close()
