"""`/metrics`: what this process counted, and how the whole service stands, as Prometheus reads it.

It needs no key, as `/readyz` needs none: no figure names a project, a user or a receiver.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Request, Response
from prometheus_client.core import Metric

from notifier import __version__
from notifier.api.deps import RuntimeDep
from notifier.api.health import PATIENCE, look_at_redis, stand
from notifier.clock import monotonic
from notifier.jobs.condition import Condition
from notifier.observability import metrics
from notifier.observability.metrics import gauge
from notifier.pipeline import auditor
from notifier.runtime import Runtime
from notifier.storage.audit import Standing

log = structlog.get_logger(__name__)
router = APIRouter()

FRESH_SECONDS = 10.0
AUDIT_FRESH_SECONDS = 55.0
"""For so long what was read is shown again: however many ask, the servers are asked once."""

STANDING = {
    "seconds_since_sweep": "Seconds since a scheduler last looked for what is due",
    "workers": "Workers that are alive",
    "oldest_due_seconds": "How late the latest notification is that waits to be planned, 0 if none is",
    "oldest_waiting_seconds": "How late the latest delivery is that waits to be sent, 0 if none is",
    "deliveries_due": "Deliveries that are due and wait, counted up to 10000",
    "deliveries_to_come": "Deliveries that wait for another try, counted up to 10000",
    "deliveries_sending": "Deliveries that workers have in hand",
}


class Watch:
    """How the service stands, read at most every `FRESH_SECONDS`."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._read_at: float | None = None
        self._audited_at: float | None = None
        self._found: Sequence[Metric] = ()

    async def figures(self, runtime: Runtime) -> Sequence[Metric]:
        """Return the figures, fresh ones if it is time."""
        async with self._turn:
            if _is_old(self._read_at, FRESH_SECONDS):
                audited = await self._audit(runtime)
                self._found = [*await _read(runtime), _plain("audit_up", "1 if there was an audit", audited)]
                self._read_at = monotonic()
        return self._found

    async def _audit(self, runtime: Runtime) -> bool:
        """Have the auditor's figures shown, and say whether there are any: old ones must not look fresh."""
        if not _is_old(self._audited_at, AUDIT_FRESH_SECONDS):
            return True
        metrics.forget_audit()
        self._audited_at = None
        try:
            async with asyncio.timeout(PATIENCE):
                await auditor.look(runtime.database, runtime.settings.lease_seconds)
        except Exception as error:
            log.warning("audit.failed", error=repr(error))
            return False
        self._audited_at = monotonic()
        return True


def _is_old(read_at: float | None, seconds: float) -> bool:
    return read_at is None or monotonic() - read_at > seconds


def get_watch(request: Request) -> Watch:
    """Return the application's watch."""
    state = request.app.state
    if not hasattr(state, "watch"):
        state.watch = Watch()
    watch: Watch = state.watch
    return watch


@router.get("/metrics", include_in_schema=False)
async def show(runtime: RuntimeDep, watch: Annotated[Watch, Depends(get_watch)]) -> Response:
    """Show all figures; those of a server that is away are left out, and `..._up` is 0."""
    return Response(metrics.render(await watch.figures(runtime)), media_type=metrics.MEDIA_TYPE)


async def _read(runtime: Runtime) -> Sequence[Metric]:
    standing, redis, length = await asyncio.gather(
        stand(runtime), look_at_redis(runtime), _length(runtime), return_exceptions=True
    )
    return [
        gauge("build_info", "The version of the service", {__version__: 1}, "version"),
        _up("database", standing),
        _up("redis", redis),
        *(_of_standing(standing) if isinstance(standing, Standing) else ()),
        *(_of_redis(redis) if isinstance(redis, Condition) else ()),
        *([_plain("queue_length", "Jobs in Redis", length)] if isinstance(length, int) else ()),
    ]


async def _length(runtime: Runtime) -> int:
    async with asyncio.timeout(PATIENCE):
        return await runtime.queue.length()


def _up(what: str, found: object) -> Metric:
    answers = not isinstance(found, BaseException)
    return _plain(f"{what}_up", f"1 if the {what} answered, else 0", int(answers))


def _of_standing(standing: Standing) -> list[Metric]:
    values: Mapping[str, float | None] = asdict(standing)
    return [_plain(name, help_, values[name]) for name, help_ in STANDING.items() if values[name] is not None]


def _of_redis(found: Condition) -> list[Metric]:
    return [
        _plain("redis_fit", "1 if Redis takes jobs and evicts none, else 0", int(found.complaint is None)),
        _plain("redis_memory_bytes", "Memory that Redis uses", found.used or 0),
        _plain("redis_memory_limit_bytes", "Memory that Redis may use, 0 for no limit", found.limit or 0),
    ]


def _plain(name: str, help_: str, value: float | None) -> Metric:
    return gauge(name, help_, {"": value or 0})
