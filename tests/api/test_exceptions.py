"""Exceptions: one coming slot is skipped, moved or reworded, and really is when its time comes."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from tests.api.conftest import Rehearsal, Rehearse

DAILY = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "UTC"}
START, END = "2027-03-01T00:00:00Z", "2027-03-04T00:00:00Z"
FIRST, SECOND, THIRD = (f"2027-03-0{day}T09:00:00Z" for day in "123")
NOON = "2027-03-02T12:00:00Z"
SKIP = {"slot": SECOND, "action": "skip"}
MOVE = {"slot": SECOND, "action": "move", "move_to": NOON}
REWORD = {"slot": SECOND, "action": "reword", "title": "Water the ferns", "body": "{{ name }}"}


async def make(rehearse: Rehearse, **fields: object) -> tuple[Rehearsal, str]:
    """Return a test project with a daily notification, and its path."""
    house = await rehearse(START)
    made = await house.create(**{"schedule": DAILY, "data": {"name": "Ada"}, **fields})
    return house, f"/v1/notifications/{made['id']}"


async def sent(house: Rehearsal, to: str = END) -> list[str]:
    return [at for at, _ in await house.advance(to)]


async def test_an_exception_reads_as_it_was_written(rehearse: Rehearse) -> None:
    house, at = await make(rehearse)
    nothing = {"move_to": None, "title": None, "body": None}
    for body, slot in ((SKIP, FIRST), (MOVE, SECOND), (REWORD, THIRD)):
        made = await house.post(f"{at}/exceptions", {**body, "slot": slot}, 201)
        assert {n: v for n, v in made.items() if n not in {"id", "created_at"}} == {
            **nothing,
            **body,
            "slot": slot,
        }
    listed = await house.get(f"{at}/exceptions")
    assert [one["slot"] for one in listed["items"]] == [FIRST, SECOND, THIRD]
    assert listed["next_cursor"] is None
    assert (await house.get(at))["revision"] == 1


async def test_a_skipped_slot_is_not_sent_and_stands_in_the_ledger(rehearse: Rehearse) -> None:
    house, at = await make(rehearse)
    await house.post(f"{at}/exceptions", SKIP, 201)
    assert await sent(house) == [FIRST, THIRD]
    assert (SECOND, "skipped", "excluded") in await house.ledger()


@pytest.mark.parametrize("move_to", [NOON, "2027-03-01T12:00:00Z", "2027-03-03T12:00:00Z"])
async def test_a_moved_slot_is_sent_where_it_was_moved_to_and_only_there(
    rehearse: Rehearse, move_to: str
) -> None:
    house, at = await make(rehearse)
    await house.post(f"{at}/exceptions", {**MOVE, "move_to": move_to}, 201)
    assert await sent(house) == sorted([FIRST, move_to, THIRD])
    ledger = await house.ledger()
    assert (SECOND, "skipped", "moved") in ledger
    assert (move_to, "delivered", None) in ledger
    assert len(ledger) == 4


async def test_reworded_content_is_sent_once(rehearse: Rehearse) -> None:
    house, at = await make(rehearse, body="Hi")
    await house.post(f"{at}/exceptions", REWORD, 201)
    await house.post(f"{at}/exceptions", {"slot": THIRD, "action": "reword", "body": "Only the body"}, 201)
    done = await house.post("/v1/test-clock/advance", {"to": "2027-03-05T00:00:00Z"})
    assert [(one["title"], one["body"]) for one in done["messages"]] == [
        ("Water the plants", "Hi"),
        ("Water the ferns", "Ada"),
        ("Water the plants", "Only the body"),
        ("Water the plants", "Hi"),
    ]


async def test_the_only_slot_can_be_put_off(rehearse: Rehearse) -> None:
    house, at = await make(rehearse, schedule={"kind": "once", "at": SECOND})
    await house.post(f"{at}/exceptions", MOVE, 201)
    await house.advance("2027-03-02T10:00:00Z")
    assert (await house.get(at))["next_due_at"] == NOON
    assert [one["at"] for one in (await house.get(f"{at}/upcoming"))["slots"]] == [NOON]
    assert await sent(house) == [NOON]


async def test_a_moved_slot_counts_once_for_the_most_occurrences(rehearse: Rehearse) -> None:
    house, at = await make(rehearse, schedule={**DAILY, "max_occurrences": 2})
    await house.post(f"{at}/exceptions", MOVE, 201)
    assert await sent(house, "2027-03-06T00:00:00Z") == [FIRST, NOON]
    assert (await house.get(at))["status"] == "completed"


async def test_an_interval_can_have_its_next_slot_moved(rehearse: Rehearse) -> None:
    house, at = await make(rehearse, schedule="daily")
    due = (await house.get(at))["next_due_at"]
    assert due == "2027-03-02T00:00:00Z"
    later = {"slot": "2027-03-03T00:00:00Z", "action": "skip"}
    refused = await house.post(f"{at}/exceptions", later, 422)
    assert refused["errors"][0]["code"] == "not_a_slot"
    await house.post(f"{at}/exceptions", {**MOVE, "slot": due}, 201)
    assert (await sent(house))[0] == NOON


WRONG = [
    ({}, "/slot", "missing"),
    ({"slot": SECOND}, "/action", "missing"),
    ({**SKIP, "slot": "tomorrow"}, "/slot", "invalid_instant"),
    ({**SKIP, "slot": "2027-03-02T09:00:00"}, "/slot", "invalid_instant"),
    ({**SKIP, "slot": None}, "/slot", "invalid_instant"),
    ({**SKIP, "slot": "2027-03-02T09:00:01Z"}, "/slot", "not_a_slot"),
    ({**SKIP, "slot": "2027-02-28T09:00:00Z"}, "/slot", "slot_has_passed"),
    ({**SKIP, "slot": START}, "/slot", "slot_has_passed"),
    ({**SKIP, "action": "forget"}, "/action", "literal_error"),
    ({**SKIP, "move_to": NOON}, "/move_to", "not_allowed"),
    ({**SKIP, "title": "x"}, "/title", "not_allowed"),
    ({**MOVE, "body": "x"}, "/body", "not_allowed"),
    ({**REWORD, "move_to": NOON}, "/move_to", "not_allowed"),
    ({"slot": SECOND, "action": "move"}, "/move_to", "missing"),
    ({**MOVE, "move_to": "2027-02-28T09:00:00Z"}, "/move_to", "not_in_the_future"),
    ({**MOVE, "move_to": SECOND}, "/move_to", "slot_taken"),
    ({**MOVE, "move_to": THIRD}, "/move_to", "slot_taken"),
    ({"slot": SECOND, "action": "reword"}, "/title", "missing"),
    ({**REWORD, "title": " "}, "/title", "string_pattern_mismatch"),
    ({**REWORD, "body": "{{ nobody }}"}, "/body", "invalid_template"),
    ({**REWORD, "title": "\x00"}, "/title", "nul_character"),
    ({**SKIP, "why": "x"}, "/why", "extra_forbidden"),
]


@pytest.mark.parametrize(("body", "pointer", "code"), WRONG, ids=[f"{n}" for n in range(len(WRONG))])
async def test_a_wrong_exception_is_refused_by_its_place(
    rehearse: Rehearse, body: dict, pointer: str, code: str
) -> None:
    house, at = await make(rehearse)
    refused = await house.post(f"{at}/exceptions", body, 422)
    assert (pointer, code) in {(one["pointer"], one["code"]) for one in refused["errors"]}
    assert (await house.get(f"{at}/exceptions"))["items"] == []


async def test_two_slots_are_not_moved_to_one_instant(rehearse: Rehearse) -> None:
    house, at = await make(rehearse)
    await house.post(f"{at}/exceptions", MOVE, 201)
    refused = await house.post(f"{at}/exceptions", {**MOVE, "slot": THIRD}, 422)
    assert (refused["errors"][0]["pointer"], refused["errors"][0]["code"]) == ("/move_to", "slot_taken")


async def test_a_slot_has_one_exception(rehearse: Rehearse) -> None:
    house, at = await make(rehearse)
    answers = await asyncio.gather(*(house.client.post(f"{at}/exceptions", json=SKIP) for _ in range(5)))
    assert sorted(one.status_code for one in answers) == [201] + [409] * 4
    assert len((await house.get(f"{at}/exceptions"))["items"]) == 1


@pytest.mark.parametrize("body", [SKIP, MOVE, REWORD], ids=lambda body: body["action"])
async def test_a_deleted_exception_leaves_the_slot_as_it_was(rehearse: Rehearse, body: dict) -> None:
    house, at = await make(rehearse)
    made = await house.post(f"{at}/exceptions", body, 201)
    path = f"{at}/exceptions/{made['id']}"
    assert (await house.client.delete(path)).status_code == 204
    assert (await house.client.delete(path)).status_code == 404
    await house.post(f"{at}/exceptions", body, 201)
    (again,) = (await house.get(f"{at}/exceptions"))["items"]
    await house.client.delete(f"{at}/exceptions/{again['id']}")
    done = await house.post("/v1/test-clock/advance", {"to": END})
    assert [one["sent_at"] for one in done["messages"]] == [FIRST, SECOND, THIRD]
    assert {one["title"] for one in done["messages"]} == {"Water the plants"}


@pytest.mark.parametrize(
    ("body", "until"),
    [
        (SKIP, "2027-03-02T09:00:00Z"),
        (MOVE, "2027-03-02T10:00:00Z"),
        # sent already, though the slot itself is still to come
        ({**MOVE, "move_to": "2027-03-01T12:00:00Z"}, "2027-03-01T13:00:00Z"),
    ],
)
async def test_what_has_been_taken_up_cannot_be_undone(rehearse: Rehearse, body: dict, until: str) -> None:
    house, at = await make(rehearse)
    made = await house.post(f"{at}/exceptions", body, 201)
    await house.advance(until)
    answer = await house.client.delete(f"{at}/exceptions/{made['id']}")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:notifier:problem:conflict")
    sent = [at for at, status, _ in await house.ledger() if status == "delivered"]
    sent += [at for at, _ in await house.advance(END)]
    away = set() if body["action"] == "skip" else {body["move_to"]}
    assert sorted(sent) == sorted({FIRST, THIRD} | away)


async def test_a_new_schedule_undoes_the_exceptions_that_no_longer_fit(rehearse: Rehearse) -> None:
    house, at = await make(rehearse)
    await house.post(f"{at}/exceptions", {**SKIP, "slot": THIRD}, 201)
    await house.post(f"{at}/exceptions", MOVE, 201)
    kept = {**DAILY, "weekdays": ["wed"], "frequency": "weekly"}
    # the 3rd of March 2027 is a Wednesday
    assert (await house.client.patch(at, json={"schedule": kept})).status_code == 200
    assert [one["slot"] for one in (await house.get(f"{at}/exceptions"))["items"]] == [THIRD]
    assert await sent(house, "2027-03-11T00:00:00Z") == ["2027-03-10T09:00:00Z"]


async def test_other_edits_leave_the_exceptions_alone(rehearse: Rehearse) -> None:
    house, at = await make(rehearse)
    made = await house.post(f"{at}/exceptions", SKIP, 201)
    await house.client.patch(at, json={"title": "New", "schedule": DAILY})
    assert (await house.get(f"{at}/exceptions"))["items"] == [made]


async def test_an_exception_that_races_the_planner_is_kept_or_refused(rehearse: Rehearse) -> None:
    house, at = await make(rehearse)
    for day in range(2, 22):
        slot, evening = f"2027-03-{day:02}T09:00:00Z", f"2027-03-{day:02}T20:00:00Z"
        answer, _ = await asyncio.gather(
            house.client.post(f"{at}/exceptions", json={"slot": slot, "action": "skip"}),
            house.advance(evening),
        )
        ((_, status, _),) = await house.ledger(since=slot, until=slot)
        assert (answer.status_code, status) in {(201, "skipped"), (422, "delivered")}


@pytest.mark.parametrize("body", [SKIP, MOVE], ids=lambda body: body["action"])
async def test_an_undoing_that_races_the_planner_is_done_or_refused(rehearse: Rehearse, body: dict) -> None:
    house, at = await make(rehearse)
    for day in range(2, 22):
        slot, moved, evening = (f"2027-03-{day:02}T{hour}:00:00Z" for hour in ("09", "08", "20"))
        move = {"move_to": moved} if body["action"] == "move" else {}
        made = await house.post(f"{at}/exceptions", {**body, "slot": slot, **move}, 201)
        answer, sent = await asyncio.gather(
            house.client.delete(f"{at}/exceptions/{made['id']}"), house.advance(evening)
        )
        undone = answer.status_code == 204
        assert undone or answer.status_code == 409
        today = [at for at, _ in sent if at >= moved]
        assert today == [slot] if undone else today == ([moved] if move else [])


async def test_a_completed_notification_takes_no_exception(rehearse: Rehearse) -> None:
    house, at = await make(rehearse, schedule={"kind": "once", "at": FIRST})
    await house.advance(END)
    await house.post(f"{at}/exceptions", SKIP, 409)


async def test_the_exceptions_of_the_past_leave_the_list(rehearse: Rehearse) -> None:
    house, at = await make(rehearse)
    await house.post(f"{at}/exceptions", SKIP, 201)
    await house.advance("2027-03-02T10:00:00Z")
    assert (await house.get(f"{at}/exceptions"))["items"] == []


async def test_an_exception_is_made_once_for_an_idempotency_key(rehearse: Rehearse) -> None:
    house, at = await make(rehearse)
    headers = {"Idempotency-Key": "one"}
    answers = [await house.client.post(f"{at}/exceptions", json=SKIP, headers=headers) for _ in range(2)]
    assert [one.status_code for one in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


async def test_unknown_notifications_and_exceptions_are_not_found(
    app: FastAPI, rehearse: Rehearse, stranger: httpx.AsyncClient
) -> None:
    house, at = await make(rehearse)
    other = await house.create(schedule=DAILY)
    made = await house.post(f"{at}/exceptions", SKIP, 201)
    path = f"{at}/exceptions/{made['id']}"
    elsewhere = f"/v1/notifications/{other['id']}/exceptions/{made['id']}"
    for client, method, where in [
        (stranger, "DELETE", path),
        (stranger, "GET", f"{at}/exceptions"),
        (stranger, "POST", f"{at}/exceptions"),
        (stranger, "GET", f"{at}/upcoming"),
        (house.client, "DELETE", elsewhere),
        (house.client, "DELETE", f"{at}/exceptions/nonsense"),
    ]:
        answer = await client.request(method, where, json=SKIP if method == "POST" else None)
        assert answer.status_code == 404, where
    assert (await house.get(f"{at}/exceptions"))["items"] == [made]
