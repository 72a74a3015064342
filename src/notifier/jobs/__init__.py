"""The queue: names, ids and payloads of jobs, and the port over arq that rings for deliveries.

Redis is a doorbell: a job says "look at this delivery" and nothing else, so every job can be lost or
doubled without harm. Payloads are msgpack, never pickle, which runs code for whoever can write to Redis.
"""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, cast
from uuid import UUID

import msgpack
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix
from arq.jobs import serialize_job
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from notifier import failpoints
from notifier.clock import utc_now

DELIVER = "delivery.deliver"
DELIVERY_QUEUE = "notifier:deliveries"
SCHEDULER_QUEUE = "notifier:scheduler"
CHUNK = 500
WORKER_ANSWER_SECONDS = 5
JOB_LIFETIME_MS = 86_400_000

serialize = msgpack.Packer().pack
deserialize = msgpack.unpackb

# What arq's own enqueue does, for many jobs in one call and without its optimistic locks.
RING = """
local new = {}
for i = 4, #ARGV, 2 do
  if redis.call('SET', ARGV[1] .. ARGV[i], ARGV[i + 1], 'NX', 'PX', ARGV[3]) then
    new[#new + 1] = ARGV[2]
    new[#new + 1] = ARGV[i]
  end
end
if #new > 0 then redis.call('ZADD', KEYS[1], unpack(new)) end
"""
# The jobs that no worker will pick up: not in the queue, or begun by a worker that may be dead.
LOST = """
local lost = {}
for i = 2, #ARGV do
  if not redis.call('ZSCORE', KEYS[1], ARGV[i]) or redis.call('EXISTS', ARGV[1] .. ARGV[i]) == 1 then
    lost[#lost + 1] = i - 2
  end
end
return lost
"""


class Job(NamedTuple):
    """A ring for one delivery. `seq` makes the id new whenever a ring is repeated."""

    project_id: UUID
    delivery_id: UUID
    seq: int

    @property
    def id(self) -> str:
        """The arq job id."""
        return f"{self.delivery_id.hex}:{self.seq}"

    def payload(self, now_ms: int) -> bytes:
        """Return the job in arq's wire format."""
        args = (self.project_id.hex, self.delivery_id.hex)
        return serialize_job(DELIVER, args, {}, None, now_ms, serializer=serialize)


class Queue:
    """The doorbell. Errors of Redis come through as they are; callers decide what they mean."""

    def __init__(self, redis: Redis, name: str = DELIVERY_QUEUE) -> None:
        self.redis = redis
        self.name = name

    async def ring(self, jobs: Sequence[Job]) -> None:
        """Enqueue `jobs`, 500 in one round trip. A job whose id is there already is left as it is."""
        chunks = _chunks(jobs)
        # two at a time: Redis works on one while the next is written
        await asyncio.gather(self._ring(chunks), self._ring(chunks))

    async def _ring(self, chunks: Iterator[Sequence[Job]]) -> None:
        now_ms = int(utc_now().timestamp() * 1000)
        for jobs in chunks:
            pairs = [part for job in jobs for part in (job.id, job.payload(now_ms))]
            await self._call(RING, job_key_prefix, now_ms, JOB_LIFETIME_MS, *pairs)
            failpoints.reach(failpoints.MID_BATCH)

    async def lost(self, jobs: Sequence[Job]) -> list[Job]:
        """Return those of `jobs` that no living worker is about to pick up."""
        found: list[Job] = []
        for chunk in _chunks(jobs):
            ids = [job.id for job in chunk]
            indexes = await self._call(LOST, in_progress_key_prefix, *ids)
            found.extend(chunk[index] for index in indexes)
        return found

    async def _call(self, script: str, *arguments: Any) -> Any:
        """Run a Lua script in Redis on this queue."""
        return await cast(Awaitable[Any], self.redis.eval(script, 1, self.name, *arguments))

    async def length(self) -> int:
        """Return how many jobs wait to be taken."""
        return int(await self.redis.zcard(self.name))

    async def ping(self) -> None:
        """Raise if Redis does not answer."""
        await self.redis.ping()

    async def aclose(self) -> None:
        """Close the connections."""
        await self.redis.aclose(close_connection_pool=True)


def connect_worker(url: str) -> ArqRedis:
    """Return the connection of a worker: it outlives a restart of Redis."""
    redis: ArqRedis = ArqRedis.from_url(
        url,
        # nothing here blocks in Redis: an answer this late was lost, with its host or its connection
        socket_timeout=WORKER_ANSWER_SECONDS,
        socket_connect_timeout=5,
        retry=Retry(ExponentialBackoff(cap=2, base=0.05), retries=-1),
        # the last one is what a refused connection is: without it, the first refusal ends the worker
        retry_on_error=[RedisConnectionError, RedisTimeoutError, OSError],
    )
    redis.job_serializer = serialize
    redis.job_deserializer = deserialize
    return redis


def connect(url: str) -> Queue:
    """Return a queue that gives up quickly on a Redis that is away: lost rings are rung again from rows."""
    retry = Retry(ExponentialBackoff(cap=0.2, base=0.05), retries=1)
    return Queue(Redis.from_url(url, socket_timeout=2, socket_connect_timeout=1, retry=retry))


def _chunks(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    rest = iter(jobs)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
