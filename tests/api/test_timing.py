"""When a notification is due: what create, edit, pause and resume make of it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import update

from notifier.storage.engine import Database
from notifier.storage.tables import notifications
from tests.api.conftest import Create

CALENDAR = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "Europe/Berlin"}
DAY, WEEK = timedelta(days=1), timedelta(weeks=1)


def instant(value: str) -> datetime:
    return datetime.fromisoformat(value)


async def put_back(database: Database, made: dict, by: timedelta) -> None:
    """Have a notification made `by` ago, with its first slot delivered a day later."""
    values: dict[str, Any] = {"created_at": notifications.c.created_at - by}
    values |= {"anchor_at": notifications.c.anchor_at - by, "next_due_at": notifications.c.next_due_at - by}
    values |= {"last_delivered_at": notifications.c.created_at - by + DAY}
    async with database.transaction() as session:
        await session.execute(
            update(notifications).where(notifications.c.id == UUID(made["id"])).values(values)
        )


@pytest.mark.parametrize(
    ("schedule", "period"),
    [
        ("daily", DAY),
        ("weekly", WEEK),
        ({"kind": "interval", "every": "PT6H"}, timedelta(hours=6)),
        ({"kind": "interval", "every": "PT1M", "anchor": "grid"}, timedelta(minutes=1)),
    ],
)
async def test_an_interval_is_first_due_one_period_after_its_creation(
    create: Create, schedule: object, period: timedelta
) -> None:
    made = await create(schedule=schedule)
    assert instant(made["next_due_at"]) == instant(made["created_at"]) + period


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(minutes=-4), timedelta(days=40)], ids=str)
async def test_an_interval_is_first_due_at_its_start(create: Create, ahead: timedelta) -> None:
    start = datetime.now(UTC) + ahead
    made = await create(start_at=start.isoformat())
    assert instant(made["next_due_at"]) == start
    assert instant(made["schedule"]["start_at"]) == start


async def test_a_start_long_past_sets_the_beat_and_sends_nothing_for_the_past(create: Create) -> None:
    start = datetime.now(UTC) - timedelta(days=10, hours=1)
    made = await create(start_at=start.isoformat())
    assert instant(made["next_due_at"]) == start + timedelta(days=11)


async def test_a_calendar_is_due_at_its_next_local_time(create: Create) -> None:
    made = await create(schedule=CALENDAR)
    due = instant(made["next_due_at"])
    assert timedelta(0) < due - datetime.now(UTC) <= timedelta(hours=25)
    assert made["schedule"]["timezone"] == "Europe/Berlin"


async def test_a_start_beside_a_calendar_bounds_it(create: Create) -> None:
    made = await create(schedule=CALENDAR, start_at="2199-07-01T08:00:00Z")
    assert made["next_due_at"] == "2199-07-02T07:00:00Z"


async def test_a_start_is_the_same_inside_the_schedule_and_beside_it(create: Create) -> None:
    inside = await create(schedule={"kind": "interval", "every": "daily", "start_at": "2199-01-01T00:00:00Z"})
    beside = await create(start_at="2199-01-01T01:00:00+01:00")
    assert inside["schedule"] == beside["schedule"]
    assert inside["next_due_at"] == beside["next_due_at"] == "2199-01-01T00:00:00Z"


async def test_a_new_schedule_is_due_counted_from_now(
    client: httpx.AsyncClient, database: Database, create: Create
) -> None:
    made = await create()
    await put_back(database, made, timedelta(hours=5))
    before = datetime.now(UTC)
    answer = await client.patch(f"/v1/notifications/{made['id']}", json={"schedule": "weekly"})
    patched = answer.json()
    assert before + WEEK <= instant(patched["next_due_at"]) <= datetime.now(UTC) + WEEK
    assert patched["revision"] == 2
    assert patched["last_delivered_at"] is not None


async def test_the_same_schedule_again_leaves_the_clock_alone(
    client: httpx.AsyncClient, database: Database, create: Create
) -> None:
    made = await create()
    await put_back(database, made, timedelta(hours=5))
    before = (await client.get(f"/v1/notifications/{made['id']}")).json()
    changes = {"schedule": made["schedule"], "title": "Another title"}
    after = (await client.patch(f"/v1/notifications/{made['id']}", json=changes)).json()
    assert after["next_due_at"] == before["next_due_at"]
    assert after["revision"] == 2


async def test_a_start_may_be_changed_alone(client: httpx.AsyncClient, create: Create) -> None:
    made = await create(schedule="weekly")
    changes = {"start_at": "2199-01-01T00:00:00Z"}
    patched = (await client.patch(f"/v1/notifications/{made['id']}", json=changes)).json()
    assert patched["schedule"] == {**made["schedule"], **changes}
    assert patched["next_due_at"] == changes["start_at"]


async def test_a_paused_notification_is_not_due_and_says_why(
    client: httpx.AsyncClient, create: Create
) -> None:
    made = await create()
    answer = await client.post(f"/v1/notifications/{made['id']}/pause", json={"reason": "on holiday"})
    paused = answer.json()
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"2"'
    expected = {"status": "paused", "pause_reason": "on holiday", "next_due_at": None, "revision": 2}
    for name in ("paused_by", "paused_at"):
        assert paused.pop(name)
        del made[name]
    assert paused == {**made, **expected, "updated_at": paused["updated_at"]}


async def test_pause_and_resume_may_be_repeated(client: httpx.AsyncClient, create: Create) -> None:
    made = await create()
    path = f"/v1/notifications/{made['id']}"
    first = await client.post(f"{path}/pause", json={"reason": "one"})
    assert (await client.post(f"{path}/pause", json={"reason": "one"})).json() == first.json()
    assert (await client.post(f"{path}/pause")).json() == first.json()
    resumed = await client.post(f"{path}/resume")
    assert resumed.json()["status"] == "active"
    assert (await client.post(f"{path}/resume")).json() == resumed.json()
    assert resumed.headers["etag"] == '"3"'


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"reason": null}'])
async def test_a_pause_needs_no_reason(client: httpx.AsyncClient, create: Create, body: bytes) -> None:
    made = await create()
    headers = {"Content-Type": "application/json"} if body else {}
    answer = await client.post(f"/v1/notifications/{made['id']}/pause", content=body, headers=headers)
    assert (answer.status_code, answer.json()["pause_reason"]) == (200, None)


async def test_resume_restarts_an_interval_and_keeps_what_was(
    client: httpx.AsyncClient, database: Database, create: Create
) -> None:
    made = await create()
    await put_back(database, made, timedelta(days=30))
    last = (await client.get(f"/v1/notifications/{made['id']}")).json()["last_delivered_at"]
    await client.post(f"/v1/notifications/{made['id']}/pause")
    before = datetime.now(UTC)
    resumed = (await client.post(f"/v1/notifications/{made['id']}/resume")).json()
    assert before + DAY <= instant(resumed["next_due_at"]) <= datetime.now(UTC) + DAY
    assert resumed["last_delivered_at"] == last
    assert resumed["pause_reason"] is None


async def test_resume_waits_for_a_start_that_lies_ahead(client: httpx.AsyncClient, create: Create) -> None:
    made = await create(start_at="2199-01-01T00:00:00Z")
    await client.post(f"/v1/notifications/{made['id']}/pause")
    resumed = (await client.post(f"/v1/notifications/{made['id']}/resume")).json()
    assert resumed["next_due_at"] == "2199-01-01T00:00:00Z"


async def test_resume_goes_on_with_the_first_slot_of_the_calendar_after_now(
    client: httpx.AsyncClient, database: Database, create: Create
) -> None:
    made = await create(schedule=CALENDAR)
    await client.post(f"/v1/notifications/{made['id']}/pause")
    await put_back(database, made, timedelta(days=3))
    resumed = (await client.post(f"/v1/notifications/{made['id']}/resume")).json()
    assert resumed["next_due_at"] == made["next_due_at"]


async def test_an_edit_leaves_the_pause_alone(client: httpx.AsyncClient, create: Create) -> None:
    made = await create()
    await client.post(f"/v1/notifications/{made['id']}/pause", json={"reason": "moving"})
    patched = await client.patch(
        f"/v1/notifications/{made['id']}", json={"schedule": "weekly", "title": "Water the ferns"}
    )
    assert patched.json()["status"] == "paused"
    assert patched.json()["pause_reason"] == "moving"
    assert patched.json()["next_due_at"] is None


async def test_what_is_completed_cannot_be_paused_and_starts_again_with_a_new_schedule(
    client: httpx.AsyncClient, database: Database, create: Create
) -> None:
    made = await create()
    done = update(notifications).where(notifications.c.id == UUID(made["id"]))
    async with database.transaction() as session:
        await session.execute(done.values(completed_at=notifications.c.created_at, next_due_at=None))
    for verb in ("pause", "resume"):
        answer = await client.post(f"/v1/notifications/{made['id']}/{verb}")
        assert answer.status_code == 409
        assert answer.json()["type"] == "urn:notifier:problem:conflict"
    answer = await client.patch(f"/v1/notifications/{made['id']}", json={"schedule": "weekly"})
    assert answer.json()["status"] == "active"
    assert answer.json()["next_due_at"] is not None


async def test_a_manual_send_leaves_the_clock_where_it_is(client: httpx.AsyncClient, create: Create) -> None:
    made = await create()
    await client.post(f"/v1/notifications/{made['id']}/send")
    assert (await client.get(f"/v1/notifications/{made['id']}")).json() == made
