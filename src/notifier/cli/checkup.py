"""What `notifier doctor` looks at, one finding each: how it is, and what to do."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Awaitable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from notifier.clock import utc_now
from notifier.jobs import condition
from notifier.jobs.condition import Condition
from notifier.pipeline import auditor
from notifier.runtime import Runtime, open_runtime
from notifier.settings import Settings
from notifier.storage import audit, checkup, migrations
from notifier.storage.audit import LATE_SECONDS, Standing
from notifier.storage.migrations import SchemaMismatch

SECONDS = 15.0
OLDEST_SWEEP = 150.0
SKEW_WARN, SKEW_FAIL = 2.0, 60.0
DISK_WARN, DISK_FAIL = 2_000_000_000, 200_000_000
BUSY = 0.9
T = TypeVar("T")


class Verdict(StrEnum):
    """How a thing is: well, worth a look, or wrong."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `do` is what to do about it."""

    name: str
    verdict: Verdict
    said: str
    do: str | None = None


def ok(name: str, said: str) -> Finding:
    """Return a good finding."""
    return Finding(name, Verdict.OK, said)


def warn(name: str, said: str, do: str) -> Finding:
    """Return a finding that is worth a look."""
    return Finding(name, Verdict.WARN, said, do)


def fail(name: str, said: str, do: str) -> Finding:
    """Return a bad finding."""
    return Finding(name, Verdict.FAIL, said, do)


async def examine(settings: Settings, data_dir: Path | None) -> AsyncGenerator[Finding, None]:
    """Yield the findings; each look gives up after 15 seconds. `data_dir` is the folder of `notifier up`."""
    async with open_runtime(settings) as runtime:
        async with aclosing(_database(runtime)) as found:
            async for finding in found:
                yield finding
        for finding in await _redis(runtime):
            yield finding
    if data_dir is not None:
        yield _disk(data_dir)


async def _database(runtime: Runtime) -> AsyncGenerator[Finding, None]:
    try:
        for finding in await _soon(_server(runtime)):
            yield finding
        await _soon(migrations.check_schema(runtime.database))
        yield ok("schema", "the one that this version needs")
        for finding in await _soon(_service(runtime)):
            yield finding
    except SchemaMismatch as error:
        yield fail("schema", str(error), "run `notifier migrate`")
    except Exception as error:
        yield fail("database", _why(error), "is PostgreSQL running, and is NOTIFIER_DATABASE_URL right?")


async def _server(runtime: Runtime) -> list[Finding]:
    async with runtime.database.transaction() as session:
        await checkup.server(session)  # the first call connects, which would count as skew
        before = utc_now()
        told = await checkup.server(session)
        after = utc_now()
    said = f"PostgreSQL {told.version}, {told.bytes / 1e6:.0f} MB"
    busy = f"{told.connections} of {told.most_connections} connections"
    writes = "let it write: is it a standby, is its disk full?"
    return [
        fail("database", f"{said}, read-only", writes) if told.read_only else ok("database", said),
        warn("connections", busy, "raise max_connections, or lower NOTIFIER_DATABASE_POOL_SIZE")
        if told.connections >= BUSY * told.most_connections
        else ok("connections", busy),
        _clock((told.now - before - (after - before) / 2).total_seconds()),
    ]


def _clock(skew: float) -> Finding:
    said = f"the database's differs from this host's by {abs(skew):.1f} s"
    if abs(skew) < SKEW_WARN:
        return ok("clock", said)
    judge = warn if abs(skew) < SKEW_FAIL else fail
    return judge("clock", said, "let NTP set both: the database's decides what is due")


async def _service(runtime: Runtime) -> list[Finding]:
    async with runtime.database.transaction() as session:
        standing = await audit.standing(session)
        mail = await checkup.has_mail_destinations(session)
        found = await audit.audit(session, runtime.settings.lease_seconds)
    return [
        _scheduler(standing),
        _worker(standing),
        _lag(standing),
        *_promises(found.figures()),
        _smtp(runtime.settings, mail),
    ]


def _scheduler(standing: Standing) -> Finding:
    age = standing.seconds_since_sweep
    if age is not None and age < OLDEST_SWEEP:
        return ok("scheduler", f"looked for what is due {age:.0f} s ago")
    said = "has never run" if age is None else f"last looked for what is due {age:.0f} s ago"
    return fail("scheduler", said, "start `notifier scheduler`, or read its log")


def _worker(standing: Standing) -> Finding:
    if standing.workers:
        return ok("worker", f"{standing.workers} alive, {standing.deliveries_sending} messages in hand")
    return fail("worker", "none alive", "start `notifier worker`, or read its log")


def _lag(standing: Standing) -> Finding:
    said = f"the latest thing that is due is {standing.lag_seconds:.0f} s late"
    if standing.lag_seconds <= LATE_SECONDS:
        return ok("lag", said if standing.lag_seconds else "nothing that is due waits")
    return warn("lag", said, "more workers, or see what the lines above say")


def _promises(figures: dict[str, int]) -> Iterator[Finding]:
    found = {figure: count for figure, count in figures.items() if count}
    if not found:
        yield ok("promises", "the auditor finds nothing")
    for figure, count in found.items():
        judge = fail if figure in auditor.BROKEN else warn
        yield judge("promises", f"{figure}: {count}", auditor.ADVICE[figure])


def _smtp(settings: Settings, mail: bool) -> Finding:
    if settings.smtp_host:
        return ok("mail", f"through {settings.smtp_host}:{settings.smtp_port}")
    if not mail:
        return ok("mail", "not set up, and no destination needs it")
    do = "set NOTIFIER_SMTP_HOST for the worker (this looks at the settings of this shell)"
    return warn("mail", "there are mail destinations, and no mail server", do)


async def _redis(runtime: Runtime) -> list[Finding]:
    try:
        found = await _soon(condition.look_at(runtime.queue.redis))
        waiting = await _soon(runtime.queue.length())
    except Exception as error:
        return [fail("redis", _why(error), "is Redis running, and is NOTIFIER_REDIS_URL right?")]
    findings = [_fit(found, waiting)]
    if found.persistent is False:
        said = "kept in memory only: after a restart jobs are rung for again, within a minute"
        findings.append(warn("redis disk", said, "set appendonly yes to spare that minute"))
    return findings


def _fit(found: Condition, waiting: int) -> Finding:
    limit = f"of {found.limit / 1e6:.0f} MB" if found.limit else "without a limit"
    said = f"{waiting} jobs, {(found.used or 0) / 1e6:.0f} MB {limit}, {found.policy or 'policy unknown'}"
    if found.complaint is None:
        return ok("redis", said)
    judge = fail if found.refusal or found.evicts else warn
    return judge("redis", found.complaint, condition.ADVICE)


def _disk(data_dir: Path) -> Finding:
    free = shutil.disk_usage(data_dir).free
    said = f"{free / 1e9:.1f} GB free for {data_dir}"
    if free >= DISK_WARN:
        return ok("disk", said)
    return (warn if free >= DISK_FAIL else fail)("disk", said, "make room: a full disk stops the database")


async def _soon(work: Awaitable[T]) -> T:
    async with asyncio.timeout(SECONDS):
        return await work


def _why(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    if isinstance(error, TimeoutError):
        return f"no answer within {SECONDS:.0f} s"
    return f"cannot be reached: {(str(cause).strip() or type(cause).__name__).splitlines()[0]}"
