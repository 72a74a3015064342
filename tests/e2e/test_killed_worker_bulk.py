"""One of two workers is killed in the middle of a big minute: nothing is lost, and doubles are explained.

`NOTIFIER_TEST_BULK_DUE=20000` runs it as big as the promise is; by default it is a tenth of that.
"""

import os
import signal
from collections import Counter

import pytest

from notifier.embedded.child import Child
from tests.e2e.test_killed_worker import QUICK, ambiguous_attempts
from tests.house import House, bulk_due, open_house
from tests.processes import LOOPBACK, OwnValkey, Roles, SlowReceiver, slow_receiver, until

DUE = int(os.environ.get("NOTIFIER_TEST_BULK_DUE", "2000"))
DRAIN_SECONDS = 60 + DUE / 100


async def kill_in_the_middle(worker: Child, receiver: SlowReceiver) -> None:
    """Kill the worker once a third of the messages have arrived."""
    await until(lambda: len(receiver.ids) >= DUE / 3, DRAIN_SECONDS, "a third of the messages")
    os.kill(worker.pid, signal.SIGKILL)
    await until(lambda: worker.exit_code() is not None)


async def all_delivered(house: House) -> bool:
    """Say whether the ledger has every delivery, and each as delivered."""
    row = await house.one("SELECT count(*) AS n FROM deliveries WHERE status = 'delivered'")
    return bool(row.n == DUE)


@pytest.mark.timeout(120 + DUE / 50)
async def test_a_worker_killed_in_a_due_minute_leaves_its_share_to_the_other(
    database_url: str, valkey: OwnValkey, roles: Roles
) -> None:
    opened = open_house(database_url, valkey.url, allow_private_destinations=LOOPBACK)
    # slow enough that the one that dies has messages under way
    async with opened as house, slow_receiver(seconds=0.1) as receiver:
        await bulk_due(house, DUE, to=receiver.url)
        roles.start("worker", **QUICK)
        doomed = roles.start("worker", name="doomed", **QUICK)
        roles.start("scheduler", **QUICK)
        await kill_in_the_middle(doomed, receiver)
        await until(lambda: all_delivered(house), DRAIN_SECONDS, "all delivered")
        rows = await house.sql("SELECT message_id FROM deliveries")
        received, ambiguous = Counter(receiver.ids), await ambiguous_attempts(house)
        assert set(received) == {row.message_id for row in rows}
        assert len(received) == DUE
        assert ambiguous.total() > 0  # the kill did its harm
        assert {one: n for one, n in received.items() if n - 1 > ambiguous[one]} == {}
