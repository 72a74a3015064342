"""`/v1/deliveries`: the ledger as it is read."""

import re
from uuid import UUID

import httpx
from sqlalchemy import event, func, insert, text, update

from notifier.storage import deliveries as storage
from notifier.storage.engine import Database
from notifier.storage.tables import attempts, deliveries
from tests.api.conftest import Create, Project

FIELDS = {
    *("id", "notification_id", "destination_id", "scheduled_for", "trigger", "status", "reason"),
    *("attempts_made", "next_attempt_at", "finished_at", "message_id", "late_by_seconds", "revision"),
    *("slot_count", "range_end", "created_at", "title", "destination", "last_error", "last_status_code"),
    "replay_of",
    "event",
}


async def send(client: httpx.AsyncClient, made: dict) -> dict:
    return (await client.post(f"/v1/notifications/{made['id']}/send")).json()["deliveries"][0]


async def test_a_delivery_reads_as_it_was_queued(client: httpx.AsyncClient, create: Create) -> None:
    made = await create()
    queued = await send(client, made)
    assert queued.keys() == FIELDS
    expected = {"notification_id": made["id"], "destination_id": made["destinations"][0]["id"]}
    expected |= {"trigger": "manual", "status": "pending", "reason": None, "attempts_made": 0, "revision": 1}
    expected |= {"finished_at": None, "late_by_seconds": None, "slot_count": 1, "range_end": None}
    expected |= {"title": made["title"], "destination": made["destinations"][0]}
    expected |= {"last_error": None, "last_status_code": None}
    assert {name: queued[name] for name in expected} == expected
    assert queued["message_id"].startswith("msg_")
    found = await client.get(f"/v1/deliveries/{queued['id']}")
    assert (found.status_code, found.json()) == (200, {**queued, "attempts": []})
    assert (await client.get("/v1/deliveries")).json()["items"] == [queued]


async def test_a_delivery_tells_of_its_attempts_in_order(
    client: httpx.AsyncClient, database: Database, project: Project, create: Create
) -> None:
    queued = await send(client, await create())
    row = deliveries.c.id == UUID(queued["id"])
    tries = {"project_id": project.id, "delivery_id": UUID(queued["id"]), "started_at": func.now()}
    async with database.transaction() as session:
        start = {"first_attempt_at": deliveries.c.scheduled_for + text("interval '1.5 seconds'")}
        await session.execute(update(deliveries).where(row).values(attempts_made=2, **start))
        await session.execute(insert(attempts).values(number=2, **tries))
        ended = {"outcome": "failed", "status_code": 500, "error": "no", "duration_ms": 12}
        await session.execute(insert(attempts).values(number=1, **ended, **tries))
    found = (await client.get(f"/v1/deliveries/{queued['id']}")).json()
    assert found["late_by_seconds"] == 1.5
    first, second = found["attempts"]
    assert first == {"number": 1, **ended, "started_at": first["started_at"]}
    running = {"number": 2, "outcome": None, "status_code": None, "error": None, "duration_ms": None}
    assert second == {**running, "started_at": second["started_at"]}
    (listed,) = (await client.get("/v1/deliveries")).json()["items"]
    assert listed == {name: value for name, value in found.items() if name != "attempts"}
    assert (listed["last_error"], listed["last_status_code"]) == ("no", 500), "of the newest that has ended"


async def test_deleting_a_notification_cancels_what_has_not_begun_and_keeps_the_ledger(
    client: httpx.AsyncClient, database: Database, create: Create
) -> None:
    made = await create()
    done, waiting, held = [await send(client, made) for _ in range(3)]
    async with database.transaction() as session:
        for delivery, status in ((done, "delivered"), (held, "held")):
            row = deliveries.c.id == UUID(delivery["id"])
            await session.execute(update(deliveries).where(row).values(status=status))
    await client.delete(f"/v1/notifications/{made['id']}")
    listed = await client.get("/v1/deliveries", params={"notification_id": made["id"]})
    ended = {one["id"]: (one["status"], one["reason"]) for one in listed.json()["items"]}
    canceled = ("canceled", "notification_deleted")
    assert ended == {done["id"]: ("delivered", None), waiting["id"]: canceled, held["id"]: canceled}
    assert (await client.get(f"/v1/deliveries/{waiting['id']}")).json()["finished_at"] is not None


async def test_a_delivery_keeps_the_revision_that_it_was_made_from(
    client: httpx.AsyncClient, create: Create
) -> None:
    made = await create()
    first = await send(client, made)
    await client.patch(f"/v1/notifications/{made['id']}", json={"title": "New"})
    second = await send(client, made)
    assert (first["revision"], second["revision"]) == (1, 2)
    titles = [one["title"] for one in (await client.get("/v1/deliveries")).json()["items"]]
    assert titles == ["New", made["title"]]
    assert (await client.get(f"/v1/deliveries/{first['id']}")).json()["revision"] == 1


async def test_a_test_message_has_no_title_and_names_its_destination(
    client: httpx.AsyncClient, create: Create
) -> None:
    target = (await create())["destinations"][0]
    test = (await client.post(f"/v1/destinations/{target['id']}/test")).json()
    assert (test["title"], test["destination"]) == (None, target)
    assert (await client.get("/v1/deliveries")).json()["items"] == [test]


async def test_what_is_told_of_a_page_is_looked_up_for_its_rows_only(database: Database) -> None:
    noted: list[str] = []

    def note(*arguments: object) -> None:
        noted.append(str(arguments[2]))

    async with database.transaction() as session:
        event.listen(database.engine.sync_engine, "before_cursor_execute", note)
        await storage.page(session, UUID(int=1), filters={}, after=None, limit=50)
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
    (statement,) = [one for one in noted if "FROM deliveries" in one]
    assert re.search(r"FROM deliveries [^)]*LIMIT [^)]*\) AS chosen", statement), statement
