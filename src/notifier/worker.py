"""The two arq processes: the scheduler with its cron sweep, the worker with the delivery job."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import structlog
import uvloop
from arq.cron import cron
from arq.worker import Worker, func

from notifier import jobs
from notifier.clock import monotonic
from notifier.observability import logs
from notifier.pipeline import planner, rescuer
from notifier.runtime import Runtime, open_runtime
from notifier.settings import Settings

log = structlog.get_logger(__name__)

SWEEP_EVERY = 60.0
RESCUE_EVERY = 5.0
WATCHDOG_AFTER = 150.0
JOB_TIMEOUT = 300
COMPLETION_WAIT = 65
"""Seconds that a stopping worker gives running deliveries: more than the longest send."""


def run_worker() -> None:
    """Run the worker until SIGTERM or SIGINT; what was started is finished first."""
    _run(_worker)


def run_scheduler() -> None:
    """Run the scheduler until SIGTERM or SIGINT."""
    _run(_scheduler)


def _run(make: Callable[[Settings], Worker]) -> None:
    settings = Settings()
    logs.configure(log_format=settings.log_format, level=settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        # arq takes the loop of the thread that makes it
        asyncio.set_event_loop(runner.get_loop())
        make(settings).run()


def _worker(settings: Settings) -> Worker:
    concurrency = settings.worker_concurrency
    return _arq(
        settings,
        functions=[func(deliver, name=jobs.DELIVER, max_tries=1)],
        queue_name=jobs.DELIVERY_QUEUE,
        on_startup=_opener(settings),
        max_jobs=concurrency,
        # only this many ids are read at a time, running ones included: hung jobs must not hide the rest
        queue_read_limit=max(4 * concurrency, 1000),
        poll_delay=0.05,
        job_timeout=JOB_TIMEOUT,
        job_completion_wait=COMPLETION_WAIT,
    )


def _scheduler(settings: Settings) -> Worker:
    return _arq(
        settings,
        cron_jobs=[cron(sweep, name="notification.sweep", second=0, keep_result=0, timeout=JOB_TIMEOUT)],
        queue_name=jobs.SCHEDULER_QUEUE,
        on_startup=_opener(settings, start_loops),
        job_timeout=JOB_TIMEOUT,
    )


def _arq(settings: Settings, **options: Any) -> Worker:
    """Return an arq worker with what both processes share (engine.md 5)."""
    return Worker(
        redis_settings=jobs.redis_settings(settings.redis_url),
        on_shutdown=close,
        job_serializer=jobs.serialize,
        job_deserializer=jobs.deserialize,
        # on the Worker itself: on the function alone it is ignored when a job fails
        keep_result=0,
        log_results=False,
        **options,
    )


def _opener(
    settings: Settings, then: Callable[[dict[str, Any]], Awaitable[None]] | None = None
) -> Callable[[dict[str, Any]], Awaitable[None]]:
    """Return arq's start-up hook: wire the process, then do `then`."""

    async def open_(ctx: dict[str, Any]) -> None:
        stack = ctx["stack"] = AsyncExitStack()
        ctx["runtime"] = runtime = await stack.enter_async_context(open_runtime(settings))
        ctx["deliverer"] = runtime.deliverer()
        if then is not None:
            await then(ctx)

    return open_


async def close(ctx: dict[str, Any]) -> None:
    """Stop the loops and let go of all connections."""
    loops = ctx.get("loops", [])
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    await ctx["stack"].aclose()


async def deliver(ctx: dict[str, Any], project_id: str, delivery_id: str) -> None:
    """Look at one delivery. Catches everything: the row, not arq, says whether to try again."""
    try:
        await ctx["deliverer"].deliver(UUID(project_id), UUID(delivery_id))
    except Exception as error:
        log.exception("job.failed", delivery_id=delivery_id, error=repr(error))


async def sweep(ctx: dict[str, Any]) -> None:
    """Plan what is due. Called by arq's cron at every full minute, and by a loop of our own."""
    runtime: Runtime = ctx["runtime"]
    started = monotonic()
    try:
        async with ctx["sweeping"]:
            planned = await planner.sweep(runtime.database, runtime.queue, batch=runtime.settings.sweep_batch)
    finally:
        # an error is not a hang: the loop goes on by itself
        ctx["swept_at"] = monotonic()
    if planned:
        log.info("sweep.done", planned=planned, duration_ms=int((monotonic() - started) * 1000))


async def rescue(ctx: dict[str, Any]) -> None:
    """Free, end and ring for what is stuck."""
    runtime: Runtime = ctx["runtime"]
    await rescuer.run(runtime.database, runtime.queue)
    await rescuer.forget(runtime.database)


async def start_loops(ctx: dict[str, Any]) -> None:
    """Run sweep and rescue from a monotonic clock too: the cron follows the host's, which may be set back."""
    ctx["sweeping"] = asyncio.Lock()
    ctx["swept_at"] = monotonic()
    ctx["loops"] = [
        asyncio.create_task(_every(SWEEP_EVERY, sweep, ctx)),
        asyncio.create_task(_every(RESCUE_EVERY, rescue, ctx)),
        asyncio.create_task(_watch(ctx)),
    ]


async def _every(
    seconds: float, work: Callable[[dict[str, Any]], Awaitable[None]], ctx: dict[str, Any]
) -> None:
    """Do `work` now and every so many seconds, whatever happens in it."""
    while True:
        try:
            await work(ctx)
        except Exception as error:
            log.warning("loop.failed", work=getattr(work, "__name__", "?"), error=repr(error))
        await asyncio.sleep(seconds)


async def _watch(ctx: dict[str, Any]) -> None:
    """End the process when sweeps have stopped, so that its supervisor starts a fresh one."""
    while True:
        await asyncio.sleep(10)
        silence = monotonic() - ctx["swept_at"]
        if silence > WATCHDOG_AFTER:
            log.critical("scheduler.stuck", seconds_since_sweep=int(silence))
            raise SystemExit(1)
