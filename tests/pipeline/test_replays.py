"""A replay is delivered as any delivery is, as the same message, and whatever becomes of it is told."""

import asyncio
from contextlib import suppress
from typing import Any

from sqlalchemy import Row

from notifier.domain.delivery import AttemptOutcome, Outcome, Reason
from notifier.jobs import Job
from notifier.services import notifications, replaying
from tests.house import PROJECT, House

FAILED = Outcome(AttemptOutcome.FAILED, 500, "HTTP 500")
TIMEOUT = Outcome(AttemptOutcome.TIMEOUT, error="no answer")
NO = Outcome.rejected(Reason.RECIPIENT_REJECTED, "no")


async def dead_letter(house: House, **draft: Any) -> Row[Any]:
    """Return a delivery that has failed for good."""
    await house.plan_one(title="Hi {{ who }}", data={"who": "Ada"}, **draft)
    house.puppet.script.append(NO)
    return await house.send()


async def replay(house: House, row: Row[Any], *, as_new: bool = False) -> Row[Any]:
    async with house.context() as ctx:
        return await replaying.replay(ctx, str(row.id), as_new=as_new)


async def test_it_goes_out_with_the_same_words_as_the_same_message(house: House) -> None:
    old = await dead_letter(house)
    async with house.context() as ctx:
        await notifications.update(ctx, str(old.notification_id), {"title": "Other"}, revision=None)
    done = await house.send(await replay(house, old))
    first, second = house.puppet.sent
    assert (done.status, second.title, second.attempt) == ("delivered", "Hi Ada", 1)
    assert (second.message_id, second.scheduled_for) == (first.message_id, first.scheduled_for)
    assert second.delivery_id == done.id != first.delivery_id


async def test_as_new_it_is_another_message_and_the_same_on_each_of_its_attempts(house: House) -> None:
    new = await replay(house, await dead_letter(house), as_new=True)
    house.puppet.script.append(FAILED)
    await house.send(new)
    await house.sql("UPDATE deliveries SET next_attempt_at = now() WHERE status = 'retrying'")
    await house.send(new)
    first, *others = house.puppet.sent
    assert {one.message_id for one in others} == {new.message_id} != {first.message_id}


async def test_it_is_rung_for_once_it_is_written_and_not_before(house: House) -> None:
    old = await dead_letter(house)
    await house.queue.redis.flushdb()
    with suppress(RuntimeError):
        async with house.context() as ctx:
            await replaying.replay(ctx, str(old.id), as_new=False)
            raise RuntimeError("the request fails after all")
    assert await house.rung() == []
    new = await replay(house, old)
    assert await house.rung() == [Job(PROJECT, new.id, 1).id]


async def test_it_is_tried_again_and_no_next_slot_ends_it(house: House) -> None:
    old = await dead_letter(house)
    new = await replay(house, old)
    house.puppet.script.append(FAILED)
    assert (await house.send(new)).status == "retrying"
    await house.make_due(old.notification_id)
    await house.plan()
    await house.rescue()
    await house.sql("UPDATE deliveries SET next_attempt_at = now() WHERE status = 'retrying'")
    assert (await house.send(new)).status == "delivered"


async def test_ten_clicks_send_once_though_a_worker_delivers_between_them(house: House) -> None:
    old = await dead_letter(house)

    async def click() -> Any:
        new = await replay(house, old)
        await house.deliverer.deliver(PROJECT, new.id)
        return new.id

    made = await asyncio.gather(*(click() for _ in range(5)))
    made += [await click() for _ in range(5)]
    assert len(set(made)) == 1
    assert len(house.puppet.sent) == 2


async def test_what_was_deleted_after_the_click_gets_nothing(house: House) -> None:
    old = await dead_letter(house)
    new = await replay(house, old)
    async with house.context() as ctx:
        await notifications.delete(ctx, str(old.notification_id), revision=None)
    row = await house.send(new)
    assert (row.status, row.reason) == ("canceled", "notification_deleted")
    assert len(house.puppet.sent) == 1


async def test_one_that_may_have_arrived_stays_open_until_somebody_decides(house: House) -> None:
    old = await dead_letter(house)
    await house.sql("UPDATE destinations SET on_unknown = 'hold'")
    new = await replay(house, old)
    house.puppet.script.append(TIMEOUT)
    assert (await house.send(new)).status == "unknown"
    await house.sql("UPDATE deliveries SET created_at = created_at - interval '1 minute'")
    assert (await replay(house, old)).id == new.id


async def test_the_row_that_it_repeats_stays_as_it_is(house: House) -> None:
    old = await dead_letter(house)
    await house.send(await replay(house, old))
    assert await house.one("SELECT * FROM deliveries WHERE id = :id", id=old.id) == old
