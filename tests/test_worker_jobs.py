"""The worker's job is the same for its own worker, which is told by a future, and for arq's, which waits."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest
from arq.worker import Function, Worker, func
from structlog.testing import capture_logs

from notifier import jobs
from notifier.jobs.batch_worker import BatchWorker
from notifier.worker import begin, deliver
from tests.house import House, bulk_due, open_house

if TYPE_CHECKING:
    from arq.typing import WorkerCoroutine


@pytest.fixture
async def house(database_url: str, redis_url: str) -> AsyncIterator[House]:
    """Yield a wired service on a database and a queue of its own."""
    async with open_house(database_url, redis_url) as opened:
        yield opened


def for_arq() -> Function:
    return func(deliver, name=jobs.DELIVER)


def for_us() -> Function:
    return replace(for_arq(), coroutine=cast("WorkerCoroutine", begin))


def worker(kind: type[Worker], function: Function, ctx: dict[str, Any], redis_url: str) -> Worker:
    """Return a worker that ends with its queue."""
    return kind(
        functions=[function],
        ctx=ctx,
        queue_name=jobs.DELIVERY_QUEUE,
        redis_pool=jobs.connect_worker(redis_url),
        job_serializer=jobs.serialize,
        job_deserializer=jobs.deserialize,
        poll_delay=0.005,
        keep_result=0,
        burst=True,
        handle_signals=False,
    )


@pytest.mark.filterwarnings("ignore:Call to deprecated close")  # arq's own
@pytest.mark.parametrize(
    ("kind", "function"), [(Worker, for_arq()), (BatchWorker, for_arq()), (BatchWorker, for_us())]
)
async def test_what_is_rung_for_arrives_whoever_works(
    house: House, redis_url: str, kind: type[Worker], function: Function
) -> None:
    await bulk_due(house, 20)
    await house.plan()
    hired = worker(kind, function, {"deliverer": house.deliverer}, redis_url)
    await hired.main()
    assert (hired.jobs_complete, hired.jobs_failed) == (20, 0)
    await hired.close()
    assert {row.status for row in await house.deliveries()} == {"delivered"}
    assert len({envelope.message_id for envelope in house.puppet.sent}) == len(house.puppet.sent) == 20
    assert await house.rung() == []


@pytest.mark.parametrize("ids", [("nonsense", uuid4().hex), (uuid4().hex, "nonsense")])
async def test_a_job_that_makes_no_sense_is_logged_and_raises_nothing_for_arq(
    house: House, ids: tuple[str, str]
) -> None:
    with capture_logs() as logs:
        await deliver({"deliverer": house.deliverer}, *ids)
    assert [(line["event"], line["delivery_id"]) for line in logs] == [("job.failed", ids[1])]
