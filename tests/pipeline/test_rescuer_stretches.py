"""However much is due, a pass of the rescuer looks through one stretch of it, and the next goes on behind."""

import pytest

from notifier.jobs import Job
from notifier.pipeline import rescuer
from notifier.storage import stretches
from tests.house import PROJECT, House, bulk_due


@pytest.fixture
async def backlog(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """Return a service with ten deliveries due, at the same instant, and stretches of four."""
    monkeypatch.setattr(stretches, "LENGTH", 4)
    await bulk_due(house, 10)
    await house.plan()
    return house


async def test_a_long_backlog_is_looked_through_in_stretches_and_then_from_its_start(backlog: House) -> None:
    await backlog.queue.redis.flushdb()
    progress = rescuer.Progress()
    for expected in (4, 4, 2):
        await backlog.sql("UPDATE deliveries SET enqueued_at = enqueued_at - interval '31 seconds'")
        assert (await rescuer.run(backlog.database, backlog.queue, progress)).rung == expected
    assert len(await backlog.rung()) == 10
    assert progress.mark == stretches.START


async def test_a_lease_behind_a_backlog_is_broken_when_its_stretch_comes(backlog: House) -> None:
    await backlog.sql(
        "UPDATE deliveries SET status = 'sending', lease_token = gen_random_uuid(),"
        " lease_expires_at = now() - interval '1 second' WHERE id = :last",
        last=max(row.id for row in await backlog.deliveries()),
    )
    progress = rescuer.Progress()
    freed = [(await rescuer.run(backlog.database, backlog.queue, progress)).freed for _ in range(3)]
    assert freed == [0, 0, 1]


async def test_a_retry_that_comes_due_behind_a_backlog_is_rung_at_once(backlog: House) -> None:
    retry = (await backlog.deliveries())[0].id
    await backlog.sql(
        "UPDATE deliveries SET status = 'retrying', next_attempt_at = now(), enqueued_at = NULL"
        " WHERE id = :id",
        id=retry,
    )
    assert (await rescuer.run(backlog.database, backlog.queue, rescuer.Progress())).rung == 1
    assert Job(PROJECT, retry, 2).id in await backlog.rung()
