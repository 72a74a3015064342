"""What a project is told of, and how: as messages of the ledger's own, with the ledger's promises."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row, text
from standardwebhooks import Webhook

from notifier.clock import new_id
from notifier.domain.delivery import AttemptOutcome, Outcome, Reason
from notifier.domain.event import BAD_NEWS, EventType
from notifier.pipeline import health
from notifier.services import destinations, pausing, projects
from notifier.storage import deliveries
from tests.house import PROJECT, House, open_house
from tests.pipeline.conftest import Begin
from tests.receivers import Answer, HttpReceiver, http_receiver

NEVER = Outcome.rejected(Reason.RECIPIENT_REJECTED, "no such user", 550)
SECRET = "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@pytest.fixture
async def house(database_url: str, redis_url: str) -> AsyncIterator[House]:
    """Yield a wired service that may send to this machine."""
    async with open_house(
        database_url, redis_url, allow_private_destinations="127.0.0.0/8", retry_schedule="1,1"
    ) as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as running:
        yield running


async def add(house: House, kind: str, **config: Any) -> UUID:
    """Add a destination; return its id."""
    async with house.context() as ctx:
        secret = SECRET if ctx.channels.signs(kind) else None
        row, _ = await destinations.create(ctx, kind=kind, name=None, config=config, secret=secret)
    return UUID(str(row.id))


async def tell(house: House, destination_id: UUID, *types: str) -> UUID:
    """Have a destination hear of events: of the bad news, unless others are named."""
    wanted = {"destination_id": destination_id, "types": list(types or BAD_NEWS)}
    async with house.context() as ctx:
        known = (await projects.own(ctx))[1]
        await projects.change_own(ctx, {"events": [*(row._mapping for row in known), wanted]})
    return destination_id


async def events(house: House) -> Sequence[Row[Any]]:
    """Return the ledger's rows of events, in the order in which they came to be."""
    return await house.sql("SELECT * FROM deliveries WHERE trigger = 'event' ORDER BY id")


async def types(house: House) -> list[str]:
    return [row.event["type"] for row in await events(house)]


async def deliver_all(house: House) -> None:
    """Do the worker's job for all that is due."""
    await house.sql("UPDATE deliveries SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL")
    for row in await house.sql(
        "SELECT * FROM deliveries WHERE status IN ('pending', 'retrying') ORDER BY id"
    ):
        await house.send(row)


async def fail_one(house: House, **draft: Any) -> Row[Any]:
    """Let a notification come due that nobody takes; return its delivery."""
    house.puppet.script.append(NEVER)
    await house.create_due(**draft)
    await house.plan()
    (row,) = await house.sql("SELECT * FROM deliveries WHERE status = 'pending'")
    return await house.send(row)


async def test_a_failure_is_told_by_a_signed_message(house: House, receiver: HttpReceiver) -> None:
    await tell(house, await add(house, "webhook", url=f"{receiver.url}/events"))
    failed = await fail_one(house, external_id="plants", title="Water the plants")
    assert failed.status == "failed"
    await deliver_all(house)

    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", "/events")
    message = Webhook(SECRET).verify(request.body, request.headers)
    assert list(message) == ["type", "timestamp", "data"]
    assert message["type"] == "delivery.failed"
    data = message["data"]
    assert message["timestamp"] == data["finished_at"]
    # PostgreSQL writes no zeros at the end of a second's fraction
    instants = {name: datetime.fromisoformat(data.pop(name)) for name in ("scheduled_for", "finished_at")}
    assert instants == {"scheduled_for": failed.scheduled_for, "finished_at": failed.finished_at}
    assert data == {
        "delivery_id": str(failed.id),
        "notification_id": str(failed.notification_id),
        "external_id": "plants",
        "destination_id": str(failed.destination_id),
        "destination": "a",
        "kind": "puppet",
        "slot_count": 1,
        "range_end": None,
        "trigger": "schedule",
        "message_id": failed.message_id,
        "status": "failed",
        "reason": "recipient_rejected",
        "attempts_made": 1,
        "last_error": "no such user",
        "last_status_code": 550,
    }
    (event,) = await events(house)
    assert (event.status, request.headers["webhook-id"]) == ("delivered", event.message_id)


async def test_an_event_is_sent_again_until_it_is_taken_under_the_same_id(
    house: House, receiver: HttpReceiver
) -> None:
    receiver.script.extend([Answer(500), Answer(429)])
    await tell(house, await add(house, "webhook", url=receiver.url))
    await fail_one(house)
    for expected in ("retrying", "retrying", "delivered"):
        await deliver_all(house)
        assert [row.status for row in await events(house)] == [expected]
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    assert len({request.body for request in receiver.requests}) == 1


async def test_nobody_is_told_that_an_event_failed(house: House, receiver: HttpReceiver) -> None:
    receiver.always = Answer(500)
    await tell(house, await add(house, "webhook", url=receiver.url), *EventType)
    await fail_one(house)
    for _ in range(3):
        await deliver_all(house)
    assert [(row.status, row.reason) for row in await events(house)] == [("failed", "retries_exhausted")]


async def test_nor_is_anybody_told_of_a_test_message(house: House) -> None:
    await tell(house, await add(house, "log"), *EventType)
    house.puppet.script.append(NEVER)
    async with house.context() as ctx:
        await destinations.send_test(ctx, str(await add(house, "puppet", name="a")))
    await deliver_all(house)
    assert await events(house) == []


async def test_where_nobody_asks_nothing_is_written(house: House) -> None:
    await fail_one(house)
    await tell(house, await add(house, "log"), "delivery.held")
    await fail_one(house, to=["puppet:b"])
    assert await events(house) == []


async def test_each_destination_hears_what_it_asked_for(house: House) -> None:
    first = await tell(house, await add(house, "log"))
    second = await tell(
        house, await add(house, "puppet", name="ops"), "delivery.failed", "delivery.delivered"
    )
    await fail_one(house)
    await house.create_due(to=["puppet:b"])
    await house.plan()
    await deliver_all(house)
    told = {(row.destination_id, row.event["type"]) for row in await events(house)}
    assert told == {
        (first, "delivery.failed"),
        (second, "delivery.failed"),
        (second, "delivery.delivered"),
    }


async def test_a_success_is_told_only_where_somebody_asks(house: House) -> None:
    await tell(house, await add(house, "log"))
    await house.plan_one()
    assert (await deliver_all(house), await events(house)) == (None, [])
    assert not any(row.watched for row in await house.deliveries())


async def test_a_good_delivery_calls_no_trigger_and_a_bad_one_does(house: House) -> None:
    row = await house.plan_one()
    for status, calls in (("delivered", False), ("failed", True)):
        plan = await house.sql(
            "EXPLAIN (ANALYZE, COSTS OFF) UPDATE deliveries SET status = :status WHERE id = :id",
            status=status,
            id=row.id,
        )
        assert any("Trigger tell" in line[0] for line in plan) is calls


async def test_nothing_is_told_of_what_was_rolled_back(house: House) -> None:
    await tell(house, await add(house, "log"))
    row = await house.plan_one()

    async def fail_in_vain() -> None:
        async with house.database.transaction() as session:
            await session.execute(
                text("UPDATE deliveries SET status = 'failed', reason = 'poison' WHERE id = :id"),
                {"id": row.id},
            )
            assert (await session.execute(text("SELECT count(*) FROM deliveries"))).scalar_one() == 2
            raise RuntimeError("rolled back")

    with pytest.raises(RuntimeError):
        await fail_in_vain()
    assert await events(house) == []


async def test_the_same_news_is_told_once(house: House) -> None:
    await tell(house, await add(house, "log"))
    row = await house.plan_one()
    for status in ("held", "pending", "held"):
        await house.sql("UPDATE deliveries SET status = :status WHERE id = :id", status=status, id=row.id)
    assert await types(house) == ["delivery.held"]


async def test_the_planner_tells_what_was_missed_and_held_and_a_pause_what_it_skipped(house: House) -> None:
    await tell(house, await add(house, "log"), *EventType)
    grid = {"kind": "interval", "every": "PT1H", "anchor": "grid"}
    await house.create_due(schedule=grid, ago="150 minutes")  # three slots
    await house.plan()
    assert await types(house) == ["delivery.missed", "delivery.missed"]
    (row,) = await house.sql("SELECT * FROM notifications")
    async with house.context() as ctx:
        await pausing.pause(ctx, str(row.id), {"cancel_pending": True})
    assert (await types(house))[2:] == ["delivery.canceled"]
    await house.make_due(row.id, "2 hours")
    async with house.context() as ctx:
        await pausing.resume(ctx, str(row.id))
    assert (await types(house))[3:] == ["delivery.skipped"]


async def test_an_outcome_that_nobody_knows_is_told_where_it_waits_for_a_person(house: House) -> None:
    await tell(house, await add(house, "log"))
    row = await house.plan_one()
    await house.sql("UPDATE destinations SET on_unknown = 'hold'")
    house.puppet.script.append(Outcome(AttemptOutcome.TIMEOUT, error="no answer within 20 s"))
    assert (await house.send(row)).status == "unknown"
    (event,) = await events(house)
    assert event.event["type"] == "delivery.unknown"
    assert event.event["data"]["last_error"] == "no answer within 20 s"


async def test_a_destination_that_is_gone_is_told_to_the_others(house: House) -> None:
    gone = await tell(house, await add(house, "puppet", name="a"))
    ops = await tell(house, await add(house, "log"), "destination.blocked")
    house.puppet.script.append(Outcome.rejected(Reason.DESTINATION_GONE, "HTTP 410", 410))
    await house.plan_one(to=[str(gone)])
    await house.send(await house.delivery())
    blocked = [row for row in await events(house) if row.event["type"] == "destination.blocked"]
    assert [row.destination_id for row in blocked] == [ops]
    data = blocked[0].event["data"]
    assert (data["destination_id"], data["destination"], data["reason"]) == (str(gone), "a", "gone")


async def test_one_that_failed_for_days_is_told_too_and_again_when_it_happens_again(house: House) -> None:
    await tell(house, await add(house, "log"))
    bad = await add(house, "puppet", name="a")
    for _ in range(2):
        await house.sql(
            "UPDATE destinations SET blocked_at = NULL, failed_deliveries = 10,"
            " failing_since = now() - interval '6 days' WHERE id = :id",
            id=bad,
        )
        assert await health.run(house.database) == 1
    first, second = await events(house)
    assert {row.event["data"]["reason"] for row in (first, second)} == {"failing"}
    assert first.event["data"]["failing_since"].endswith("Z")
    assert first.message_id != second.message_id


async def test_events_for_a_blocked_destination_wait_for_it(house: House) -> None:
    ops = await tell(house, await add(house, "log"))
    await house.sql(
        "UPDATE destinations SET blocked_at = now(), blocked_reason = 'gone' WHERE id = :id", id=ops
    )
    await fail_one(house)
    await house.rescue()
    assert [row.status for row in await events(house)] == ["held"]
    async with house.context() as ctx:
        await destinations.update(ctx, str(ops), {"status": "active"}, revision=None)
    await deliver_all(house)
    assert [row.status for row in await events(house)] == ["delivered"]


async def test_the_rescuer_rings_for_an_event(house: House) -> None:
    await tell(house, await add(house, "log"))
    await fail_one(house)
    before = set(await house.rung())
    await house.rescue()
    (job,) = set(await house.rung()) - before
    assert job.startswith((await events(house))[0].id.hex)


async def test_people_read_what_happened(house: House) -> None:
    await tell(house, await add(house, "puppet", name="ops"))
    await fail_one(house, title="Water the plants", to=["puppet:b"])
    await deliver_all(house)
    said = house.puppet.sent[-1]
    assert said.title == "Not delivered: Water the plants"
    assert "reason: recipient_rejected" in said.body
    assert "destination: b" in said.body
    assert "None" not in said.body


async def test_the_ids_of_events_sort_among_all_others_by_time(house: House) -> None:
    await tell(house, await add(house, "log"))
    before = new_id()
    await fail_one(house)
    (event,) = await events(house)
    assert before < event.id < new_id()
    assert (event.id.version, event.id.variant) == (7, before.variant)


async def test_the_ledger_lists_an_event_without_a_notification(house: House) -> None:
    await tell(house, await add(house, "log"))
    await fail_one(house)
    (event,) = await events(house)
    async with house.context() as ctx:
        found = await deliveries.get(ctx.session, PROJECT, event.id)
    assert found is not None
    assert (found.trigger, found.event, found.notification_id, found.destination["kind"]) == (
        "event", "delivery.failed", None, "log",
    )  # fmt: skip


async def test_a_deleted_subscriber_hears_nothing(house: House) -> None:
    ops = await tell(house, await add(house, "log"))
    await house.sql("UPDATE destinations SET deleted_at = now() WHERE id = :id", id=ops)
    await fail_one(house)
    assert await events(house) == []


async def test_in_a_rehearsal_events_are_captured_like_all_messages(begin: Begin) -> None:
    timeline = await begin("2027-01-01T00:00")
    await timeline.create({"kind": "interval", "every": "PT1H", "anchor": "grid"}, title="Plants")
    async with timeline.context() as ctx:
        row, _ = await destinations.create(ctx, kind="log", name=None, config={}, secret=None)
        wanted = {"destination_id": row.id, "types": ["delivery.delivered", "delivery.missed"]}
        await projects.change_own(ctx, {"events": [wanted]})
    await timeline.advance("2027-01-01T02:30", down=True)
    done = await timeline.advance("2027-01-01T02:45")
    assert [one.title for one in done.messages] == ["Plants", "Missed: Plants", "Delivered: Plants"]
    assert json.dumps(done.messages[-1].event)
