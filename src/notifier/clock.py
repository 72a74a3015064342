"""The only reader of the clock; everything else takes instants as arguments."""

import time
from datetime import UTC, datetime
from uuid import UUID

from uuid_utils.compat import uuid7


def utc_now() -> datetime:
    """Return the host's current instant, timezone-aware, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Return seconds on a clock that never jumps; for durations only."""
    return time.monotonic()


def cpu_seconds() -> float:
    """Return the CPU time of this thread: what work cost, however busy the machine is."""
    return time.thread_time()


def new_id() -> UUID:
    """Return a fresh UUIDv7: ids sort by the time they were made."""
    return uuid7()


def id_of_age(seconds: float) -> UUID:
    """Return the least id that `new_id` can have made so many seconds ago."""
    return UUID(int=int((time.time() - seconds) * 1000) << 80)
