"""`/upcoming` and `next_due_at`: what users are told of the slots to come is what then happens."""

from typing import Any

import httpx
import pytest
from sqlalchemy import event

from notifier.storage.engine import Database
from tests.api.conftest import Create, Rehearsal, Rehearse

START = "2027-03-01T00:00:00Z"
DAILY = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "UTC"}


def slot(day: int, time: str = "09:00") -> str:
    return f"2027-03-{day:02}T{time}:00Z"


async def upcoming(house: Rehearsal, made: dict, **params: object) -> list[tuple[str, list[str]]]:
    """Return the coming slots with the codes of their notes."""
    found = (await house.get(f"/v1/notifications/{made['id']}/upcoming", **params))["slots"]
    return [(one["at"], [note["code"] for note in one["notes"]]) for one in found]


async def test_the_coming_slots_carry_their_exceptions(rehearse: Rehearse) -> None:
    house = await rehearse(START)
    made = await house.create(schedule={**DAILY, "exclude_dates": ["2027-03-05"]})
    for body in (
        {"slot": slot(2), "action": "skip"},
        {"slot": slot(3), "action": "move", "move_to": slot(4, "12:00")},
        {"slot": slot(4), "action": "reword", "title": "Other words"},
    ):
        await house.post(f"/v1/notifications/{made['id']}/exceptions", body, 201)
    assert await upcoming(house, made, count=7) == [
        (slot(1), []),
        (slot(2), ["skipped"]),
        (slot(3), ["moved_away"]),
        (slot(4), ["reworded"]),
        (slot(4, "12:00"), ["moved"]),
        (slot(5), ["excluded"]),
        (slot(6), []),
    ]
    # the moved one is no later than what the list reaches to
    assert [at for at, _ in await upcoming(house, made, count=3)] == [slot(1), slot(2), slot(3)]
    sent = [at for at, _ in await house.advance("2027-03-07T00:00:00Z")]
    assert sent == [slot(1), slot(4), slot(4, "12:00"), slot(6)]


@pytest.mark.parametrize(
    ("limits", "exceptions", "shown"),
    [
        ({}, [], slot(1)),
        ({"exclude_dates": ["2027-03-01", "2027-03-02"]}, [], slot(3)),
        # Labour Day and the day after
        ({"start_at": "2027-05-01T00:00:00Z", "holidays": "DE"}, [], "2027-05-02T09:00:00Z"),
        ({}, [{"slot": slot(1), "action": "skip"}], slot(2)),
        ({}, [{"slot": slot(1), "action": "skip"}, {"slot": slot(2), "action": "skip"}], slot(3)),
        ({}, [{"slot": slot(2), "action": "skip"}], slot(1)),
        ({}, [{"slot": slot(1), "action": "reword", "title": "x"}], slot(1)),
        ({}, [{"slot": slot(1), "action": "move", "move_to": slot(1, "15:00")}], slot(1, "15:00")),
        ({}, [{"slot": slot(1), "action": "move", "move_to": slot(8, "15:00")}], slot(2)),
        ({}, [{"slot": slot(4), "action": "move", "move_to": slot(1, "07:00")}], slot(1, "07:00")),
        ({"exclude_dates": ["2027-03-01"]}, [{"slot": slot(2), "action": "skip"}], slot(3)),
        ({"exclude_dates": ["2027-03-01"], "end_at": slot(1)}, [], None),
        ({"end_at": slot(1)}, [{"slot": slot(1), "action": "skip"}], None),
    ],
)
async def test_the_next_due_time_shown_is_that_of_the_next_message(
    rehearse: Rehearse, limits: dict, exceptions: list[dict], shown: str | None
) -> None:
    house = await rehearse(START)
    made = await house.create(schedule={**DAILY, **limits})
    at = f"/v1/notifications/{made['id']}"
    for body in exceptions:
        await house.post(f"{at}/exceptions", body, 201)
    assert (await house.get(at))["next_due_at"] == shown
    assert (await house.get("/v1/notifications"))["items"][0]["next_due_at"] == shown
    sent = await house.advance(shown or "2027-06-01T00:00:00Z")
    assert [at for at, _ in sent] == ([shown] if shown else [])


async def test_a_rule_that_comes_every_minute_passes_over_a_day_at_once(rehearse: Rehearse) -> None:
    house = await rehearse(START)
    rule = {"kind": "cron", "expression": "* * * * *", "timezone": "Europe/Berlin"}
    dates = [f"2027-03-{day:02}" for day in range(1, 32)]
    made = await house.create(schedule={**rule, "exclude_dates": dates})
    assert made["next_due_at"] == "2027-03-31T22:00:00Z"


async def test_nothing_is_coming_while_it_is_paused_or_after_it_is_completed(rehearse: Rehearse) -> None:
    house = await rehearse(START)
    made = await house.create(schedule={**DAILY, "max_occurrences": 1})
    at = f"/v1/notifications/{made['id']}"
    assert await upcoming(house, made) == [(slot(1), [])]
    await house.post(f"{at}/pause")
    assert await upcoming(house, made) == []
    await house.post(f"{at}/resume")
    await house.advance(slot(2))
    assert (await house.get(at))["status"] == "completed"
    assert await upcoming(house, made) == []


async def test_a_slot_that_is_due_and_not_yet_sent_is_late(rehearse: Rehearse) -> None:
    house = await rehearse(START)
    made = await house.create(schedule=DAILY)
    await house.advance(slot(1, "09:30"), down=True)
    assert (await upcoming(house, made, count=2)) == [(slot(1), ["late"]), (slot(2), [])]


async def test_local_time_and_the_change_of_the_clocks_are_told(rehearse: Rehearse) -> None:
    house = await rehearse("2027-03-27T00:00:00Z")
    made = await house.create(schedule={**DAILY, "times": ["02:30"], "timezone": "Europe/Berlin"})
    found = (await house.get(f"/v1/notifications/{made['id']}/upcoming", count=3))["slots"]
    assert [(one["at"], one["local"]) for one in found] == [
        ("2027-03-27T01:30:00Z", "2027-03-27T02:30:00+01:00"),
        ("2027-03-28T01:30:00Z", "2027-03-28T03:30:00+02:00"),
        ("2027-03-29T00:30:00Z", "2027-03-29T02:30:00+02:00"),
    ]
    assert [note["code"] for one in found for note in one["notes"]] == ["shifted"]


async def test_ten_slots_are_listed_unless_told_otherwise(client: httpx.AsyncClient, create: Create) -> None:
    at = f"/v1/notifications/{(await create())['id']}/upcoming"
    assert len((await client.get(at)).json()["slots"]) == 10
    assert len((await client.get(at, params={"count": 1000})).json()["slots"]) == 1000


@pytest.mark.parametrize("count", ["0", "1001", "-1", "x", "1.5", ""])
async def test_the_count_has_its_bounds(client: httpx.AsyncClient, create: Create, count: str) -> None:
    made = await create()
    answer = await client.get(f"/v1/notifications/{made['id']}/upcoming", params={"count": count})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/count")


async def test_a_list_takes_no_query_for_each_notification(rehearse: Rehearse, database: Database) -> None:
    house = await rehearse(START)

    async def queries_of_a_list() -> int:
        statements: list[str] = []

        def note(*arguments: Any) -> None:
            statements.append(arguments[2])

        event.listen(database.engine.sync_engine, "before_cursor_execute", note)
        try:
            await house.get("/v1/notifications")
        finally:
            event.remove(database.engine.sync_engine, "before_cursor_execute", note)
        return len(statements)

    async def make() -> None:
        made = await house.create(schedule={**DAILY, "exclude_dates": ["2027-03-01"]})
        skip = {"slot": slot(2), "action": "skip"}
        await house.post(f"/v1/notifications/{made['id']}/exceptions", skip, 201)

    await make()
    once = await queries_of_a_list()
    for _ in range(5):
        await make()
    assert await queries_of_a_list() == once
    shown = (await house.get("/v1/notifications"))["items"]
    assert [one["next_due_at"] for one in shown] == [slot(3)] * 6
