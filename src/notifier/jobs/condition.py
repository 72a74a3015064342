"""How Redis is: whether it takes writes, and whether it could lose jobs without a word."""

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

NOEVICTION = "noeviction"
ADVICE = (
    "set maxmemory-policy noeviction, and give Redis memory enough; until then jobs may be lost or late, but "
    "no notification is"
)
PROBE = "notifier:probe"
NEARLY_FULL = 0.9
"""The share of its memory limit from which on Redis is worth a warning."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What Redis tells; `refusal` is why it takes no writes. Memory in bytes; a `limit` of 0 is none.

    `persistent` is whether a restart keeps all jobs. None stands for what it does not tell, as some that are
    hired do not.
    """

    refusal: str | None
    policy: str | None
    used: int | None
    limit: int | None
    persistent: bool | None

    @property
    def evicts(self) -> bool:
        """Whether it may throw jobs away when memory is short: all of them carry an expiry."""
        return self.policy not in (None, NOEVICTION)

    @property
    def fullness(self) -> float:
        """Return the share of the memory limit that is used, 0 without a limit."""
        return self.used / self.limit if self.used and self.limit else 0.0

    @property
    def complaint(self) -> str | None:
        """Return what is wrong, None if nothing is."""
        if self.refusal:
            return self.refusal
        if self.evicts:
            return f"wrong eviction policy: {self.policy}, must be {NOEVICTION}"
        return f"nearly full: {self.fullness:.0%} of its memory" if self.fullness >= NEARLY_FULL else None


async def look_at(redis: Redis) -> Condition:
    """Return how Redis is; raises its error if it does not answer."""
    refusal = await _refusal(redis)
    told = await _told(redis)
    return Condition(
        refusal=refusal,
        policy=told.get("maxmemory_policy"),
        used=told.get("used_memory"),
        limit=told.get("maxmemory"),
        persistent=bool(told["aof_enabled"]) if "aof_enabled" in told else None,
    )


async def _refusal(redis: Redis) -> str | None:
    """Try to write: only that shows a full memory, a full disk and a replica alike."""
    try:
        await redis.set(PROBE, 1, ex=1)
        await redis.delete(PROBE)
    except OutOfMemoryError:
        return "full: it takes no more jobs"
    except ReadOnlyError:
        return "read-only: this is a replica"
    except ResponseError as error:
        return f"refuses writes: {error}"
    return None


async def _told(redis: Redis) -> dict[str, Any]:
    try:
        return {**await redis.info("memory"), **await redis.info("persistence")}
    except ResponseError:
        return {}
