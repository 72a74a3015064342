"""Claims and outcomes that share a statement stay as apart as if each had its own."""

import asyncio

from sqlalchemy import event

from notifier.clock import new_id
from notifier.domain.delivery import Outcome, Reason
from notifier.gathering import AT_ONCE
from notifier.pipeline.attempts import Limits
from notifier.pipeline.bookkeeping import Bookkeeping
from notifier.pipeline.deliverer import Deliverer
from tests.house import House

TOO_LARGE_TO_BE_STORED = 2**40


async def send_together(house: House) -> None:
    """Send all that waits, in one batch, and record for a moment only."""
    parts = house.deliverer
    books = Bookkeeping(house.database, lease=75)
    deliverer = Deliverer(books, parts.channels, parts.cipher, parts.waits, Limits(75, 30, 0.1), window=0.05)
    waiting = await house.deliveries()
    await asyncio.gather(*(deliverer.deliver(row.project_id, row.id) for row in waiting))


async def test_a_worker_that_got_ready_opens_no_connection_for_its_first_claims(house: House) -> None:
    books = Bookkeeping(house.database, lease=75)
    await books.get_ready()
    opened: list[object] = []
    event.listen(house.database.engine.sync_engine, "connect", lambda *one: opened.append(one))
    nothing = [(new_id(), new_id())]
    claimed = await asyncio.gather(*(books.claim(nothing) for _ in range(AT_ONCE)))
    assert [claims for _, claims in claimed] == [[None]] * AT_ONCE
    assert opened == []


async def test_an_outcome_that_cannot_be_written_costs_no_other_one(house: House) -> None:
    for name in "abcde":
        await house.create_due(to=[f"puppet:{name}"])
    await house.plan()
    house.puppet.script.append(Outcome.delivered(TOO_LARGE_TO_BE_STORED))
    await send_together(house)
    assert sorted(row.status for row in await house.deliveries()) == [*["delivered"] * 4, "sending"]


async def test_a_destination_that_cannot_be_blocked_just_now_costs_no_outcome(house: House) -> None:
    for name in "ab":
        await house.create_due(to=[f"puppet:{name}"])
    await house.plan()
    house.puppet.script.append(Outcome.rejected(Reason.DESTINATION_GONE, "HTTP 410", 410))
    await house.sql("ALTER TABLE destinations ADD CONSTRAINT never CHECK (blocked_at IS NULL)")
    await send_together(house)
    assert sorted(row.status for row in await house.deliveries()) == ["delivered", "failed"]
