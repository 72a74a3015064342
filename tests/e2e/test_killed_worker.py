"""A worker that is killed loses nothing, and every message that came twice is explained by the ledger."""

import os
import signal
from collections import Counter

import pytest

from notifier.domain.delivery import AMBIGUOUS
from tests.house import House, bulk_due, open_house
from tests.processes import LOOPBACK, OwnValkey, Roles, slow_receiver, until

DUE = 200
AT_ONCE = 40
# As the defaults, but so short that the test need not wait a minute for a lease to end.
QUICK = {
    "WEBHOOK_TIMEOUT": 3,
    "CHANNEL_TIMEOUT": 3,
    "LEASE_SECONDS": 6,
    "RETRY_SCHEDULE": "1,1,1,1",
    "WORKER_CONCURRENCY": AT_ONCE,
}


async def ambiguous_attempts(house: House) -> Counter[str]:
    """Count, by message id, the attempts after which the receiver may have had the message."""
    rows = await house.sql(
        "SELECT d.message_id, a.outcome FROM attempts AS a JOIN deliveries AS d ON d.id = a.delivery_id"
    )
    return Counter(row.message_id for row in rows if row.outcome in AMBIGUOUS)


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_after_kill_9_all_arrive_and_each_extra_receipt_has_an_ambiguous_attempt(
    database_url: str, valkey: OwnValkey, roles: Roles
) -> None:
    opened = open_house(database_url, valkey.url, allow_private_destinations=LOOPBACK)
    # the first 60 are answered; the worker dies while it waits for the answers to the 40 after them
    async with opened as house, slow_receiver(seconds=0.2, gate=60) as receiver:
        await bulk_due(house, DUE, to=receiver.url)
        worker = roles.start("worker", **QUICK)
        roles.start("scheduler", **QUICK)
        await until(lambda: receiver.held >= AT_ONCE, 30, "a worker with both hands full")
        os.kill(worker.pid, signal.SIGKILL)
        await until(lambda: worker.exit_code() is not None)
        receiver.opened.set()
        # what it had taken out of the queue is rung for again at once, not in half a minute
        await house.sql("UPDATE deliveries SET enqueued_at = enqueued_at - interval '31 seconds'")
        roles.start("worker", **QUICK)

        async def all_delivered() -> bool:
            return {row.status for row in await house.deliveries()} == {"delivered"}

        await until(all_delivered, 60)
        received, ambiguous = Counter(receiver.ids), await ambiguous_attempts(house)
        assert set(received) == {row.message_id for row in await house.deliveries()}
        assert len(received) == DUE
        assert received.total() > DUE  # the kill did its harm
        unexplained = {one: n for one, n in received.items() if n - 1 > ambiguous[one]}
        assert unexplained == {}
