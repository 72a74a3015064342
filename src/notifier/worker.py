"""The two arq processes: the scheduler with its cron sweep, the worker with the delivery job."""

import asyncio
import resource
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

import structlog
import uvloop
from arq.cron import cron
from arq.worker import Worker, func

from notifier import jobs
from notifier.clock import monotonic, new_id
from notifier.jobs import condition
from notifier.jobs.batch_worker import BatchWorker
from notifier.observability import logs, metrics
from notifier.pipeline import auditor, health, holder, planner, rescuer, retention, retimer
from notifier.pipeline.deliverer import Deliverer
from notifier.pipeline.watchdog import Pulse, start_watchdog
from notifier.runtime import Runtime, open_runtime
from notifier.settings import Settings
from notifier.storage import audit, planning
from notifier.storage.migrations import check_schema

if TYPE_CHECKING:
    from arq.typing import WorkerCoroutine

log = structlog.get_logger(__name__)

T = TypeVar("T")

SWEEP_EVERY = 60.0
RESCUE_EVERY = 5.0
RETAIN_EVERY = 3600.0
WORKER_BEAT_EVERY = 10.0
START_RETRY = 2.0
WATCHDOG_AFTER = 150.0
SWEEP_TIMEOUT = 300
FAREWELL_WAIT = 2.0
OTHER_FILES = 200
"""Open files that a worker needs beside the connections to receivers: with its servers, for its logs."""

COMPLETION_WAIT = 65
"""Seconds that a stopping worker gives running deliveries: more than the longest send."""


def run_worker() -> None:
    """Run the worker until SIGTERM or SIGINT; what was started is finished first."""
    _run(make_worker)


def run_scheduler() -> None:
    """Run the scheduler until SIGTERM or SIGINT."""
    _run(make_scheduler)


def _run(make: Callable[[Settings], Worker]) -> None:
    settings = Settings()
    logs.configure(log_format=settings.log_format, level=settings.log_level)
    metrics.serve(settings.host, settings.metrics_port)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        # arq takes the loop of the thread that makes it
        asyncio.set_event_loop(runner.get_loop())
        make(settings).run()


def make_worker(settings: Settings) -> Worker:
    """Return the arq worker that sends deliveries."""
    return _arq(
        settings,
        functions=[replace(func(deliver, name=jobs.DELIVER), coroutine=cast("WorkerCoroutine", begin))],
        queue_name=jobs.DELIVERY_QUEUE,
        on_startup=_opener(settings, start_working),
        max_jobs=settings.worker_jobs,
        poll_delay=0.02,
        job_timeout=_job_timeout(settings),
        job_completion_wait=COMPLETION_WAIT,
    )


def make_scheduler(settings: Settings) -> Worker:
    """Return the arq worker that sweeps."""
    return _arq(
        settings,
        cron_jobs=[cron(sweep, name="notification.sweep", second=0, timeout=SWEEP_TIMEOUT)],
        queue_name=jobs.SCHEDULER_QUEUE,
        on_startup=_opener(settings, start),
        job_timeout=SWEEP_TIMEOUT,
    )


def _job_timeout(settings: Settings) -> float:
    """Return seconds enough for a claim, the longest send, and the longest recording, with some to spare."""
    return 60 + settings.longest_send + settings.longest_recording


def _arq(settings: Settings, **options: Any) -> Worker:
    """Return an arq worker with what both processes share (engine.md 5)."""
    return BatchWorker(
        redis_pool=jobs.connect_worker(settings.redis_url),
        on_shutdown=close,
        job_serializer=jobs.serialize,
        job_deserializer=jobs.deserialize,
        **options,
    )


def _opener(
    settings: Settings, then: Callable[[dict[str, Any]], Awaitable[None]] | None = None
) -> Callable[[dict[str, Any]], Awaitable[None]]:
    """Return arq's start-up hook: wire the process, then do `then`."""

    async def open_(ctx: dict[str, Any]) -> None:
        stack = ctx["stack"] = AsyncExitStack()
        ctx["runtime"] = runtime = await stack.enter_async_context(open_runtime(settings))
        ctx["deliverer"] = replace(runtime.deliverer(), count=metrics.attempted)
        ctx["on_signal"] = ctx["deliverer"].stop
        # a process must not work on a schema it does not know; nor shall the first job wait for a connection
        await _patiently(lambda: check_schema(runtime.database))
        await _check_redis(runtime)
        if then is not None:
            await then(ctx)

    return open_


async def _check_redis(runtime: Runtime) -> None:
    """Say loudly what is wrong with Redis. It is a doorbell: what it loses is rung for again, so go on."""
    try:
        found = await condition.look_at(runtime.queue.redis)
    except Exception as error:
        log.warning("redis.unavailable", error=repr(error))
        return
    if found.complaint:
        log.error("redis.unfit", complaint=found.complaint, do=condition.ADVICE)


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Return what `work` returns, once it can: the database may not be there yet."""
    while True:
        try:
            return await work()
        except Exception as error:
            log.warning("process.waiting", error=repr(error))
            await asyncio.sleep(START_RETRY)


async def close(ctx: dict[str, Any]) -> None:
    """Stop the loops and let go of all connections."""
    if "watchdog" in ctx:
        ctx["watchdog"].set()
    loops = ctx.get("loops", [])
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    if "name" in ctx:
        await _say_farewell(ctx)
    if "stack" in ctx:
        await ctx["stack"].aclose()


async def _say_farewell(ctx: dict[str, Any]) -> None:
    """Take this worker off the list of the living, unless the database is away."""
    try:
        async with asyncio.timeout(FAREWELL_WAIT), ctx["runtime"].database.transaction() as session:
            await audit.forget_beat(session, ctx["name"])
    except Exception as error:
        log.warning("farewell.failed", error=repr(error))


def begin(ctx: dict[str, Any], project_id: str, delivery_id: str) -> asyncio.Future[None]:
    """Begin to look at one delivery; the future is done when it is over."""
    deliverer: Deliverer = ctx["deliverer"]
    return deliverer.begin(_project(project_id), UUID(delivery_id))


async def deliver(ctx: dict[str, Any], project_id: str, delivery_id: str) -> None:
    """Do the same for a worker of arq's own. Catches everything: the row says whether to try again."""
    try:
        await begin(ctx, project_id, delivery_id)
    except Exception as error:
        log.exception("job.failed", delivery_id=delivery_id, error=repr(error))


@lru_cache(maxsize=1024)
def _project(project_id: str) -> UUID:
    return UUID(project_id)


async def sweep(ctx: dict[str, Any]) -> None:
    """Plan what is due. Called by arq's cron at every full minute, and by a loop of our own."""
    runtime: Runtime = ctx["runtime"]
    started = monotonic()
    try:
        async with ctx["sweeping"]:
            planned = await planner.sweep(
                runtime.database,
                runtime.queue,
                batch=runtime.settings.sweep_batch,
                hold_before=ctx.get("hold_before"),
                after_batch=ctx["pulse"].beat,
            )
    finally:
        # an error is not a hang: the loop goes on by itself
        ctx["pulse"].beat()
    metrics.swept(planned, monotonic() - started)
    if planned:
        log.info("sweep.done", planned=planned, duration_ms=int((monotonic() - started) * 1000))


async def rescue(ctx: dict[str, Any]) -> None:
    """Free, end and ring for what is stuck; give up destinations that have failed for days."""
    runtime: Runtime = ctx["runtime"]
    done = await rescuer.run(runtime.database, runtime.queue, ctx["rescue"])
    metrics.rescued({"freed": done.freed, "expired": done.expired, "rung": done.rung})
    await health.run(runtime.database)
    await rescuer.forget(runtime.database)


async def audit_promises(ctx: dict[str, Any]) -> None:
    """Count what there should be none of."""
    runtime: Runtime = ctx["runtime"]
    await auditor.run(runtime.database, runtime.settings.lease_seconds)


async def beat(ctx: dict[str, Any]) -> None:
    """Note that this worker lives."""
    async with ctx["runtime"].database.transaction() as session:
        await planning.beat(session, ctx["name"])


async def start_working(ctx: dict[str, Any]) -> None:
    """Get ready to send, and have this worker say that it lives."""
    await _patiently(ctx["deliverer"].books.get_ready)
    allow_files(ctx["runtime"].settings.worker_jobs + OTHER_FILES)
    ctx["name"] = f"{audit.WORKER}{new_id()}"
    ctx["loops"] = [asyncio.create_task(_every(WORKER_BEAT_EVERY, beat, ctx))]


def allow_files(wanted: int) -> None:
    """Let this process open so many files, or as many as it may: each message being sent is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (ValueError, OSError) as error:
            log.warning("files.few", wanted=wanted, allowed=soft, error=repr(error))


async def retain(ctx: dict[str, Any]) -> None:
    """Delete history that need not be kept any longer."""
    runtime: Runtime = ctx["runtime"]
    if days := runtime.settings.retention_days:
        await retention.run(runtime.database, days)


async def start(ctx: dict[str, Any]) -> None:
    """Do what is to be done once, before the first sweep."""
    runtime: Runtime = ctx["runtime"]
    await _patiently(lambda: retimer.run(runtime.database))
    silence = runtime.settings.hold_after
    ctx["hold_before"] = await _patiently(lambda: holder.hold_before(runtime.database, silence))
    await planner.get_ready(runtime.database)
    await start_loops(ctx)


async def start_loops(ctx: dict[str, Any]) -> None:
    """Run sweep and rescue from a monotonic clock too: the cron follows the host's, which may be set back."""
    ctx["sweeping"] = asyncio.Lock()
    pulse = ctx["pulse"] = Pulse(monotonic())
    ctx["rescue"] = rescuer.Progress()
    ctx["loops"] = [
        asyncio.create_task(_every(SWEEP_EVERY, sweep, ctx)),
        asyncio.create_task(_every(RESCUE_EVERY, rescue, ctx)),
        asyncio.create_task(_every(RETAIN_EVERY, retain, ctx)),
        asyncio.create_task(_every(auditor.EVERY_SECONDS, audit_promises, ctx, delay=auditor.EVERY_SECONDS)),
    ]
    ctx["watchdog"] = start_watchdog(pulse, WATCHDOG_AFTER)


async def _every(
    seconds: float, work: Callable[[dict[str, Any]], Awaitable[None]], ctx: dict[str, Any], delay: float = 0
) -> None:
    """Do `work` after `delay` seconds and then every so many, whatever happens in it."""
    await asyncio.sleep(delay)
    while True:
        try:
            await work(ctx)
        except Exception as error:
            log.warning("loop.failed", work=getattr(work, "__name__", "?"), error=repr(error))
        await asyncio.sleep(seconds)
