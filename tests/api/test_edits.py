"""What an edit of the schedule does to slots: none is lost, none is doubled."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import update

from notifier.storage.engine import Database
from notifier.storage.tables import notifications
from tests.api.conftest import Create, Rehearse

START = "2027-03-01T00:00:00Z"


def daily(*times: str, timezone: str = "UTC") -> dict:
    return {"kind": "calendar", "frequency": "daily", "times": list(times), "timezone": timezone}


@pytest.mark.parametrize(
    ("schedule", "following"),
    [
        # 09:00 was sent on the 1st, and it is noon
        (daily("15:00"), "2027-03-02T15:00:00Z"),
        (daily("08:00"), "2027-03-02T08:00:00Z"),
        (daily("12:00"), "2027-03-02T12:00:00Z"),
        # 09:00Z on the 1st is still the 28th of February in Honolulu (UTC-10), where it is 02:00 on the 1st
        (daily("03:00", timezone="Pacific/Honolulu"), "2027-03-01T13:00:00Z"),
        # several times a day are meant to come several times a day
        (daily("10:00", "15:00"), "2027-03-01T15:00:00Z"),
        ({"kind": "cron", "expression": "0 15 * * *", "timezone": "UTC"}, "2027-03-01T15:00:00Z"),
        ({"kind": "interval", "every": "PT6H"}, "2027-03-01T18:00:00Z"),
        ({"kind": "once", "at": "2027-03-01T12:00:01Z"}, "2027-03-01T12:00:01Z"),
        ({**daily("09:00"), "end_at": "2027-03-09T00:00:00Z"}, "2027-03-02T09:00:00Z"),
    ],
)
async def test_the_first_slot_after_an_edit_lies_after_now_and_doubles_no_date(
    rehearse: Rehearse, schedule: dict, following: str
) -> None:
    house = await rehearse(START)
    made = await house.create(schedule=daily("09:00"))
    await house.advance("2027-03-01T12:00:00Z")
    answer = await house.client.patch(f"/v1/notifications/{made['id']}", json={"schedule": schedule})
    assert answer.json()["next_due_at"] == following
    sent = await house.advance("2027-03-03T00:00:00Z")
    assert sent[0][0] == following


async def test_a_daily_time_put_off_before_it_comes_is_sent_the_same_day(rehearse: Rehearse) -> None:
    house = await rehearse(START)
    made = await house.create(schedule=daily("09:00"))
    await house.advance("2027-03-01T08:59:00Z")
    await house.client.patch(f"/v1/notifications/{made['id']}", json={"schedule": daily("10:00")})
    assert [at for at, _ in await house.advance("2027-03-02T12:00:00Z")] == [
        "2027-03-01T10:00:00Z",
        "2027-03-02T10:00:00Z",
    ]


async def test_a_day_is_not_doubled_by_an_edit_during_a_pause(rehearse: Rehearse) -> None:
    house = await rehearse(START)
    made = await house.create(schedule=daily("09:00"))
    at = f"/v1/notifications/{made['id']}"
    await house.advance("2027-03-01T12:00:00Z")
    await house.post(f"{at}/pause")
    await house.client.patch(at, json={"schedule": daily("15:00")})
    resumed = await house.post(f"{at}/resume")
    assert resumed["next_due_at"] == "2027-03-02T15:00:00Z"


async def test_a_slot_that_is_due_when_the_schedule_changes_is_sent_all_the_same(rehearse: Rehearse) -> None:
    house = await rehearse(START)
    made = await house.create(schedule=daily("09:00"))
    await house.advance("2027-03-01T09:00:30Z", down=True)
    answer = await house.client.patch(
        f"/v1/notifications/{made['id']}", json={"schedule": daily("08:00"), "title": "New"}
    )
    assert answer.json()["next_due_at"] == "2027-03-02T08:00:00Z"
    assert await house.ledger() == [("2027-03-01T09:00:00Z", "pending", None)]
    # planned by the old revision, it keeps its words
    assert await house.advance("2027-03-02T12:00:00Z") == [
        ("2027-03-01T09:00:30Z", "Water the plants"),
        ("2027-03-02T08:00:00Z", "New"),
    ]


async def test_a_due_slot_of_a_live_project_is_sent_though_the_schedule_changes(
    client: httpx.AsyncClient, database: Database, create: Create
) -> None:
    made = await create(schedule=daily("09:00"))
    due = datetime.now(UTC) - timedelta(seconds=30)
    async with database.transaction() as session:
        row = notifications.c.external_id.is_(None) & (notifications.c.status == "active")
        await session.execute(
            update(notifications).where(row, notifications.c.id == made["id"]).values(next_due_at=due)
        )
    await client.patch(f"/v1/notifications/{made['id']}", json={"schedule": "weekly"})
    (planned,) = (await client.get("/v1/deliveries")).json()["items"]
    assert (planned["status"], planned["trigger"]) == ("pending", "schedule")
    assert datetime.fromisoformat(planned["scheduled_for"]) == due


async def test_slots_that_passed_in_a_pause_are_recorded_before_the_schedule_changes(
    rehearse: Rehearse,
) -> None:
    house = await rehearse(START)
    made = await house.create(schedule=daily("09:00"))
    at = f"/v1/notifications/{made['id']}"
    await house.post(f"{at}/pause")
    await house.advance("2027-03-03T12:00:00Z")
    await house.client.patch(at, json={"schedule": daily("15:00")})
    await house.advance("2027-03-04T20:00:00Z")
    await house.post(f"{at}/resume")
    items = (await house.get("/v1/deliveries"))["items"]
    assert sorted((one["scheduled_for"], one["slot_count"], one["reason"]) for one in items) == [
        ("2027-03-01T09:00:00Z", 3, "paused"),
        ("2027-03-03T15:00:00Z", 2, "paused"),
    ]


async def test_a_slot_that_is_due_when_it_is_deleted_is_canceled(rehearse: Rehearse) -> None:
    house = await rehearse(START)
    made = await house.create(schedule=daily("09:00"))
    await house.advance("2027-03-01T09:00:30Z", down=True)
    await house.client.delete(f"/v1/notifications/{made['id']}")
    assert await house.ledger() == [("2027-03-01T09:00:00Z", "canceled", "notification_deleted")]


async def test_a_completed_one_that_is_put_again_as_it_was_stays_completed(rehearse: Rehearse) -> None:
    house = await rehearse(START)
    body = {"title": "x", "schedule": {"kind": "once", "at": "2027-03-01T09:00:00Z"}}
    at = "/v1/notifications/by-external-id/plants"
    assert (await house.client.put(at, json=body)).status_code == 201
    assert len(await house.advance("2027-03-02T00:00:00Z")) == 1
    again = await house.client.put(at, json=body)
    assert (again.status_code, again.json()["status"]) == (200, "completed")
    assert await house.advance("2027-03-03T00:00:00Z") == []


@pytest.mark.parametrize(
    ("schedule", "sent"),
    [
        ({**daily("09:00"), "max_occurrences": 2}, ["01T09", "02T09"]),
        ({**daily("09:00"), "end_at": "2027-03-02T09:00:00Z"}, ["01T09", "02T09"]),
        ({**daily("09:00"), "start_at": "2027-03-02T09:00:01Z"}, ["03T09", "04T09"]),
        ({**daily("09:00"), "exclude_dates": ["2027-03-01", "2027-03-03"]}, ["02T09", "04T09"]),
        ({**daily("09:00"), "every": 3, "start_date": "2027-03-01"}, ["01T09", "04T09"]),
        ({"kind": "once", "at": "2027-03-02T10:30:00Z"}, ["02T10"]),
        ({"kind": "once", "at": "2027-03-02T10:00", "timezone": "Europe/Berlin"}, ["02T09"]),
        ({"kind": "cron", "expression": "0 9 2-3 * *", "timezone": "UTC"}, ["02T09", "03T09"]),
        (
            {
                "kind": "rrule",
                "rrule": "FREQ=DAILY;COUNT=2",
                "dtstart": "2027-03-01T09:00",
                "timezone": "UTC",
            },
            ["01T09", "02T09"],
        ),
        (
            {
                "kind": "calendar",
                "frequency": "monthly",
                "month_days": [2, 4],
                "times": ["09:00"],
                "timezone": "UTC",
            },
            ["02T09", "04T09"],
        ),
        (
            {
                "kind": "calendar",
                "frequency": "monthly",
                "nth_weekdays": [{"nth": 1, "weekday": "wed"}],
                "times": ["09:00"],
                "timezone": "UTC",
            },
            ["03T09"],
        ),
        ({"kind": "interval", "every": "P2D", "anchor": "grid"}, ["03T00", "05T00"]),
    ],
    ids=str,
)
async def test_every_kind_of_schedule_is_sent_when_it_says(
    rehearse: Rehearse, schedule: dict, sent: list[str]
) -> None:
    house = await rehearse(START)
    await house.create(schedule=schedule)
    messages = await house.advance("2027-03-05T00:00:00Z")
    assert [at.removeprefix("2027-03-")[:5] for at, _ in messages] == sent
