"""The two arq processes, run for real: how they start, stop, and outlive their servers."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from notifier import jobs
from notifier.embedded.child import Child
from notifier.worker import make_scheduler, make_worker
from tests.house import House, bulk_due, open_house, settings
from tests.processes import LOOPBACK, OwnValkey, Roles, open_roles, own_valkey, slow_receiver, until
from tests.servers import free_port

STOP_SECONDS = 30


@pytest.fixture
async def house(database_url: str, redis_url: str) -> AsyncIterator[House]:
    """Yield a wired service that may send to this machine."""
    async with open_house(database_url, redis_url, allow_private_destinations=LOOPBACK) as opened:
        yield opened


@pytest.fixture
def roles(tmp_path: Path, database_url: str, redis_url: str) -> Iterator[Roles]:
    """Yield the service's processes on the same servers."""
    with open_roles(tmp_path / "roles", database_url, redis_url) as opened:
        yield opened


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[OwnValkey]:
    """Yield a Valkey that may be killed."""
    with own_valkey(tmp_path / "valkey") as opened:
        yield opened


async def stop(child: Child) -> int | None:
    """Ask a process to end; return its exit code."""
    os.kill(child.pid, signal.SIGTERM)
    await until(lambda: child.exit_code() is not None, STOP_SECONDS, "the end of the process")
    return child.exit_code()


async def test_a_stopping_worker_finishes_what_it_has_in_hand_and_takes_nothing_new(
    house: House, roles: Roles
) -> None:
    async with slow_receiver(gate=0) as receiver:
        await bulk_due(house, 70, to=receiver.url)
        await house.plan()
        worker = roles.start("worker", WORKER_CONCURRENCY=2)
        await until(lambda: receiver.held == 2)
        os.kill(worker.pid, signal.SIGTERM)
        await asyncio.sleep(0.3)  # time enough to end, or to take more
        assert (worker.exit_code(), receiver.held) == (None, 2)
        receiver.opened.set()
        await until(lambda: worker.exit_code() is not None, STOP_SECONDS)
    assert worker.exit_code() == 0
    sent = len(receiver.ids)
    assert 2 <= sent <= 50  # it has 50 in hand; those who wait for too long are left to others
    assert sorted(row.status for row in await house.deliveries()) == ["delivered"] * sent + ["pending"] * (
        70 - sent
    )
    assert [one.outcome for one in await house.attempts()] == ["delivered"] * sent


@pytest.mark.parametrize("role", ["worker", "scheduler"])
async def test_an_idle_process_ends_at_once(house: House, roles: Roles, role: str) -> None:
    child = roles.start(role)
    await until(lambda: health_key_exists(house, role))
    assert await stop(child) == 0, child.last_lines()
    assert "Traceback" not in roles.log(role)


async def health_key_exists(house: House, role: str) -> bool:
    """Say whether arq's loop has begun: the first thing it does is to leave a sign of health."""
    queue = {"worker": jobs.DELIVERY_QUEUE, "scheduler": jobs.SCHEDULER_QUEUE}[role]
    return bool(await house.queue.redis.exists(f"{queue}:health-check"))


async def test_a_due_notification_is_planned_as_soon_as_the_scheduler_starts(
    house: House, roles: Roles
) -> None:
    await house.create_due()
    roles.start("scheduler")

    async def planned() -> bool:
        return len(await house.deliveries()) == 1 and len(await house.rung()) == 1

    await until(planned, 15)


async def test_the_scheduler_rescues_as_soon_as_it_starts(house: House, roles: Roles) -> None:
    await house.plan_one()
    await house.queue.redis.flushdb()
    await house.sql("UPDATE deliveries SET enqueued_at = NULL")
    roles.start("scheduler")

    async def rung() -> bool:
        return len(await house.rung()) == 1

    await until(rung, 15)


async def test_no_results_are_kept_and_a_job_that_raises_leaves_its_id_free(
    house: House, roles: Roles, redis_url: str
) -> None:
    pool = jobs.connect_worker(redis_url)
    await house.plan_one(to=["log:"])

    async def enqueue(name: str, *arguments: str) -> bool:
        made = await pool.enqueue_job(name, *arguments, _job_id=name, _queue_name=jobs.DELIVERY_QUEUE)
        return made is not None

    wrong = {jobs.DELIVER: ("one argument",), "no such job": ()}
    for name, arguments in wrong.items():
        assert await enqueue(name, *arguments)
    worker = roles.start("worker")

    async def nothing_waits() -> bool:
        return not await house.rung() and (await house.delivery()).status == "delivered"

    await until(nothing_waits)
    assert await stop(worker) == 0
    assert await house.queue.redis.keys("*") == []
    for name, arguments in wrong.items():
        assert await enqueue(name, *arguments)
    await pool.aclose(close_connection_pool=True)


async def test_a_job_that_names_nothing_known_is_harmless(house: House, roles: Roles) -> None:
    await house.queue.ring([jobs.Job(uuid4(), uuid4(), 1)])
    raw = jobs.Job(uuid4(), uuid4(), 1)
    await house.queue.redis.set(jobs.job_key_prefix + raw.id, b"\xc1 not msgpack")
    await house.queue.redis.zadd(house.queue.name, {raw.id: 1})
    planned = await house.plan_one(to=["log:"])
    worker = roles.start("worker")

    async def nothing_waits() -> bool:
        return not await house.rung()

    await until(nothing_waits)
    assert worker.exit_code() is None
    assert (await house.deliveries())[0].id == planned.id
    assert await stop(worker) == 0


async def test_neither_process_ends_when_redis_restarts(
    database_url: str, tmp_path: Path, valkey: OwnValkey
) -> None:
    async with AsyncExitStack() as stack:
        opened = open_house(database_url, valkey.url, allow_private_destinations=LOOPBACK)
        house = await stack.enter_async_context(opened)
        roles = stack.enter_context(open_roles(tmp_path / "roles", database_url, valkey.url))
        receiver = await stack.enter_async_context(slow_receiver())
        worker = roles.start("worker", WORKER_CONCURRENCY=20)
        scheduler = roles.start("scheduler")
        for round_ in range(1, 4):
            await bulk_due(house, 200, to=receiver.url)
            before = len(receiver.ids)
            await house.plan()
            await until(lambda before=before: len(receiver.ids) > before)  # type: ignore[misc]
            # in the middle of picking up jobs
            await asyncio.to_thread(valkey.kill)
            await asyncio.to_thread(valkey.start)
            assert (worker.exit_code(), scheduler.exit_code()) == (None, None), f"round {round_}"
        await house.sql("UPDATE deliveries SET enqueued_at = enqueued_at - interval '31 seconds'")

        async def all_delivered() -> bool:
            return {row.status for row in await house.deliveries()} == {"delivered"}

        await until(all_delivered, 40)
        assert len(set(receiver.ids)) == len(receiver.ids) == 3 * 200
        assert (worker.exit_code(), scheduler.exit_code()) == (None, None)


@pytest.mark.parametrize("role", ["worker", "scheduler"])
async def test_a_process_ends_when_asked_even_while_redis_is_away(
    database_url: str, tmp_path: Path, valkey: OwnValkey, role: str
) -> None:
    async with open_house(database_url, valkey.url) as house:
        with open_roles(tmp_path / "roles", database_url, valkey.url) as roles:
            child = roles.start(role)
            await until(lambda: health_key_exists(house, role))
            await asyncio.to_thread(valkey.kill)
            await asyncio.sleep(0.5)
            assert await stop(child) == 0, child.last_lines()
            beats = await house.sql("SELECT name FROM heartbeats WHERE starts_with(name, 'worker')")
            assert beats == [], "a worker that has ended counts as alive"


async def test_processes_that_start_without_redis_plan_at_once_and_send_as_soon_as_it_comes(
    database_url: str, tmp_path: Path, valkey: OwnValkey
) -> None:
    port = free_port()
    async with AsyncExitStack() as stack:
        opened = open_house(database_url, valkey.url, allow_private_destinations=LOOPBACK)
        house = await stack.enter_async_context(opened)
        away = f"redis://127.0.0.1:{port}/0"
        roles = stack.enter_context(open_roles(tmp_path / "roles", database_url, away))
        receiver = await stack.enter_async_context(slow_receiver())
        await house.create_due(to=[receiver.url])
        worker, scheduler = roles.start("worker"), roles.start("scheduler")
        await until(lambda: all_live_and_planned(house), 30)
        for role in ("worker", "scheduler"):
            assert "redis.unavailable" in roles.log(role)
        assert await house.rung() == receiver.ids == []
        await asyncio.to_thread(valkey.set, port=port)
        await house.sql("UPDATE deliveries SET enqueued_at = enqueued_at - interval '31 seconds'")
        await until(lambda: len(receiver.ids) == 1, 30, "the message")
        for role, child in (("worker", worker), ("scheduler", scheduler)):
            await until(lambda role=role: health_key_exists(house, role))  # type: ignore[misc]
            assert await stop(child) == 0, child.last_lines()


async def all_live_and_planned(house: House) -> bool:
    """Say whether worker and scheduler work, as far as the database can tell."""
    beats = await house.sql("SELECT name FROM heartbeats")
    beating = {row.name.partition(":")[0] for row in beats}
    return beating >= {"worker", "scheduler"} and len(await house.deliveries()) == 1


WATCHDOG = """
import time
from notifier.pipeline.watchdog import Pulse, start_watchdog
watchdog = start_watchdog(Pulse(time.monotonic() - {age}), limit=150, every=0.05)
{then}
time.sleep({seconds})
"""


@pytest.mark.parametrize(
    ("age", "then", "exit_code"),
    [
        (151, "pass", 1),  # and that although the main thread sleeps
        (100, "pass", 0),
        (151, "watchdog.set()", 0),
    ],
)
def test_a_process_whose_sweeps_stand_still_is_ended(age: int, then: str, exit_code: int) -> None:
    source = WATCHDOG.format(age=age, then=then, seconds=30 if exit_code else 0.3)
    assert subprocess.run([sys.executable, "-c", source], timeout=20, check=False).returncode == exit_code


async def test_arq_is_set_as_the_design_says(database_url: str, redis_url: str) -> None:
    chosen = settings(database_url, redis_url)
    worker, scheduler = make_worker(chosen), make_scheduler(chosen)
    for one in (worker, scheduler):
        assert not one.allow_abort_jobs
        assert one.job_serializer is jobs.serialize
    # claim, longest send, and trying to record for three leases of 75 s
    assert worker.job_timeout_s >= 30 + 30 + 3 * 75
    assert worker._job_completion_wait > chosen.longest_send
    loop = asyncio.get_running_loop()  # arq takes its signals at once
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)


@pytest.mark.parametrize("lease_seconds", [29, 30])
def test_a_lease_that_could_end_before_a_send_is_refused(lease_seconds: float) -> None:
    with pytest.raises(ValueError, match="LEASE_SECONDS must be above both time-outs, 30 s"):
        settings("postgresql://h/d", "redis://h", lease_seconds=lease_seconds)
    assert settings("postgresql://h/d", "redis://h", lease_seconds=30.5).longest_send == 30


FILES = """
import resource
from notifier.worker import allow_files
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, 700))
allow_files({wanted})
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "wanted", "allowed"), [(256, 500, 500), (256, 4200, 700), (600, 500, 600), (700, 4200, 700)]
)
def test_a_worker_may_open_as_many_connections_as_it_needs_or_as_the_system_lets_it(
    soft: int, wanted: int, allowed: int
) -> None:
    source = FILES.format(soft=soft, wanted=wanted)
    done = subprocess.run([sys.executable, "-c", source], timeout=20, check=True, capture_output=True)
    assert done.stdout.decode().strip() == f"({allowed}, 700)"
