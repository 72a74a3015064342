"""`/v1/deliveries/{id}/replay`: what has ended is sent again, once, however often somebody asks."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from notifier.clock import new_id
from notifier.domain.delivery import TERMINAL, Status
from notifier.storage.engine import Database
from notifier.storage.tables import deliveries, destinations
from tests.api.conftest import Create, Project

Ended = Callable[..., Awaitable[dict]]


async def change(database: Database, delivery_id: str, **values: object) -> None:
    """Write what only time or a worker would; what has ended did so now."""
    if values.get("status") in TERMINAL:
        values = {"finished_at": func.now(), **values}
    async with database.transaction() as session:
        await session.execute(update(deliveries).where(deliveries.c.id == UUID(delivery_id)).values(**values))


async def age(database: Database, project: Project) -> None:
    """Let the replays of a project be older than a double click takes."""
    async with database.transaction() as session:
        older = deliveries.c.created_at - func.make_interval(0, 0, 0, 0, 0, 1)
        mine = deliveries.c.project_id == project.id
        await session.execute(update(deliveries).where(mine).values(created_at=older))


@pytest.fixture
def ended(client: httpx.AsyncClient, database: Database, create: Create) -> Ended:
    """Return a function that makes a delivery that has ended; as failed, unless told otherwise."""

    async def make(
        status: str = "failed", reason: str | None = "retries_exhausted", **fields: object
    ) -> dict:
        made = await create(**fields)
        (sent,) = (await client.post(f"/v1/notifications/{made['id']}/send")).json()["deliveries"]
        over = func.now() if status in TERMINAL else None
        await change(
            database, sent["id"], status=status, reason=reason, next_attempt_at=None, finished_at=over
        )
        return await get(client, sent["id"])

    return make


async def get(client: httpx.AsyncClient, delivery_id: str) -> dict:
    found: dict = (await client.get(f"/v1/deliveries/{delivery_id}")).json()
    return found


async def replay(client: httpx.AsyncClient, delivery: dict, **body: object) -> dict:
    """Return the replay of a delivery."""
    answer = await client.post(f"/v1/deliveries/{delivery['id']}/replay", json=body or None)
    assert answer.status_code == 202, answer.text
    made: dict = answer.json()
    return made


async def replays_of(client: httpx.AsyncClient, delivery: dict) -> list[dict]:
    found: list[dict] = (await client.get("/v1/deliveries", params={"replay_of": delivery["id"]})).json()[
        "items"
    ]
    return found


async def test_a_replay_is_a_row_of_its_own_with_the_same_words_and_the_same_message_id(
    client: httpx.AsyncClient, ended: Ended
) -> None:
    old = await ended()
    await client.patch(f"/v1/notifications/{old['notification_id']}", json={"title": "Other words"})
    new = await replay(client, old)
    for name in ("notification_id", "destination_id", "scheduled_for", "message_id", "revision", "title"):
        assert new[name] == old[name], name
    assert new["id"] != old["id"]
    assert (new["trigger"], new["status"], new["reason"], new["replay_of"]) == (
        *("replay", "pending", None),
        old["id"],
    )
    assert (new["attempts_made"], new["finished_at"], new["late_by_seconds"]) == (0, None, None)
    assert await get(client, old["id"]) == old
    assert await replays_of(client, old) == [new]


async def test_as_new_it_gets_a_message_id_of_its_own(client: httpx.AsyncClient, ended: Ended) -> None:
    old = await ended()
    new = await replay(client, old, as_new=True)
    assert new["message_id"] != old["message_id"]
    assert new["message_id"].startswith("msg_")


@pytest.mark.parametrize("status", sorted(TERMINAL))
async def test_whatever_has_ended_can_be_sent_again(
    client: httpx.AsyncClient, ended: Ended, status: Status
) -> None:
    assert (await replay(client, await ended(status, None)))["status"] == "pending"


@pytest.mark.parametrize("status", sorted(set(Status) - TERMINAL - {"sending"}))
async def test_what_has_not_ended_is_not_sent_again(
    client: httpx.AsyncClient, ended: Ended, status: Status
) -> None:
    old = await ended(status, None)
    answer = await client.post(f"/v1/deliveries/{old['id']}/replay")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:notifier:problem:conflict")
    assert ("/resolve" in answer.json()["detail"]) is (status == "unknown")
    assert await replays_of(client, old) == []


async def test_a_range_of_slots_is_not_sent_again(
    client: httpx.AsyncClient, database: Database, ended: Ended
) -> None:
    old = await ended("missed", "grace_exceeded")
    await change(database, old["id"], slot_count=12, range_end=func.now())
    answer = await client.post(f"/v1/deliveries/{old['id']}/replay")
    assert answer.status_code == 409
    assert "several slots" in answer.json()["detail"]


async def test_a_test_message_is_not_sent_again(
    client: httpx.AsyncClient, database: Database, create: Create
) -> None:
    destination = (await create())["destinations"][0]["id"]
    sent = (await client.post(f"/v1/destinations/{destination}/test")).json()
    await change(database, sent["id"], status="failed", next_attempt_at=None)
    answer = await client.post(f"/v1/deliveries/{sent['id']}/replay")
    assert answer.status_code == 409
    assert "Test messages" in answer.json()["detail"]


async def test_nothing_is_sent_again_for_a_notification_that_was_deleted(
    client: httpx.AsyncClient, ended: Ended
) -> None:
    old = await ended()
    await client.delete(f"/v1/notifications/{old['notification_id']}")
    answer = await client.post(f"/v1/deliveries/{old['id']}/replay")
    assert (answer.status_code, answer.json()["detail"]) == (409, "Its notification was deleted.")


async def test_nothing_is_sent_again_to_a_destination_that_was_deleted(
    client: httpx.AsyncClient, ended: Ended
) -> None:
    old = await ended(to=["mailto:ada@example.com"])
    await client.patch(f"/v1/notifications/{old['notification_id']}", json={"to": ["log:"]})
    assert (await client.delete(f"/v1/destinations/{old['destination_id']}")).status_code == 204
    answer = await client.post(f"/v1/deliveries/{old['id']}/replay")
    assert (answer.status_code, answer.json()["detail"]) == (409, "Its destination was deleted.")


async def test_a_replay_to_a_blocked_destination_is_held_until_it_is_well_again(
    client: httpx.AsyncClient, database: Database, ended: Ended
) -> None:
    old = await ended()
    async with database.transaction() as session:
        row = destinations.c.id == UUID(old["destination_id"])
        await session.execute(update(destinations).where(row).values(blocked_at=func.now()))
    new = await replay(client, old)
    assert (new["status"], new["next_attempt_at"]) == ("held", None)
    assert (await replay(client, old))["id"] == new["id"]
    await client.patch(f"/v1/destinations/{old['destination_id']}", json={"status": "active"})
    assert (await get(client, new["id"]))["status"] == "pending"


async def test_a_paused_or_edited_notification_does_not_forbid_it(
    client: httpx.AsyncClient, ended: Ended
) -> None:
    old = await ended(to=["mailto:ada@example.com"])
    at = f"/v1/notifications/{old['notification_id']}"
    await client.patch(at, json={"to": ["log:"]})
    await client.post(f"{at}/pause")
    assert (await replay(client, old))["destination_id"] == old["destination_id"]


# --- once ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [False, True], ids=["plain", "with different Idempotency-Keys"])
async def test_ten_clicks_at_once_replay_once(client: httpx.AsyncClient, ended: Ended, keys: bool) -> None:
    old = await ended()
    clicks = (
        client.post(
            f"/v1/deliveries/{old['id']}/replay", headers={"Idempotency-Key": str(n)} if keys else None
        )
        for n in range(10)
    )
    answers = await asyncio.gather(*clicks)
    assert {one.status_code for one in answers} == {202}
    assert len({one.json()["id"] for one in answers}) == 1
    assert len(await replays_of(client, old)) == 1


async def test_ten_clicks_on_a_delivery_and_on_its_replay_replay_once(
    client: httpx.AsyncClient, database: Database, project: Project, ended: Ended
) -> None:
    old = await ended()
    first = await replay(client, old)
    await change(database, first["id"], status="failed", next_attempt_at=None)
    await age(database, project)
    answers = await asyncio.gather(*(replay(client, one) for one in [old, first] * 5))
    assert len({one["id"] for one in answers}) == 1
    assert {one["replay_of"] for one in answers} == {old["id"]}
    assert len(await replays_of(client, old)) == 2


async def test_one_click_and_many_by_filter_at_once_replay_once(
    client: httpx.AsyncClient, ended: Ended
) -> None:
    old = await ended()
    everything = {"notification_id": old["notification_id"]}
    await asyncio.gather(
        *(replay(client, old) for _ in range(5)),
        *(client.post("/v1/deliveries/replay", json=everything) for _ in range(5)),
    )
    assert len(await replays_of(client, old)) == 1


async def test_a_click_that_comes_when_a_fast_worker_is_done_already_does_not_send_again(
    client: httpx.AsyncClient, database: Database, project: Project, ended: Ended
) -> None:
    old = await ended()
    first = await replay(client, old)
    await change(database, first["id"], status="delivered", next_attempt_at=None)
    assert (await replay(client, old))["id"] == first["id"]
    await age(database, project)
    assert (await replay(client, old))["id"] != first["id"]


async def test_the_database_itself_refuses_a_second_open_replay(
    client: httpx.AsyncClient, database: Database, ended: Ended
) -> None:
    new = await replay(client, await ended())
    async with database.engine.connect() as connection:
        columns = [one for one in deliveries.c if one.name not in {"id", "event", "open_end"}]
        found = select(*columns).where(deliveries.c.id == UUID(new["id"]))
        row = (await connection.execute(found)).one()
        with pytest.raises(IntegrityError, match="uq_deliveries_open_replay"):
            await connection.execute(insert(deliveries).values({**row._mapping, "id": new_id()}))


async def test_a_repeated_request_with_its_key_gets_the_same_answer(
    client: httpx.AsyncClient, database: Database, ended: Ended
) -> None:
    old = await ended()
    at, key = f"/v1/deliveries/{old['id']}/replay", {"Idempotency-Key": "again"}
    first = await client.post(at, headers=key)
    await change(database, first.json()["id"], status="failed", next_attempt_at=None)
    again = await client.post(at, headers=key)
    assert (again.json(), again.headers["idempotent-replayed"]) == (first.json(), "true")


async def test_a_replay_can_be_replayed_and_all_belong_to_the_first(
    client: httpx.AsyncClient, database: Database, project: Project, ended: Ended
) -> None:
    old = await ended()
    one = await replay(client, old, as_new=True)
    await change(database, one["id"], status="failed", next_attempt_at=None)
    await age(database, project)
    two = await replay(client, one)
    assert (two["replay_of"], two["message_id"]) == (old["id"], one["message_id"])
    assert [row["id"] for row in await replays_of(client, old)] == [two["id"], one["id"]]


# --- who may ----------------------------------------------------------------------------------------------


async def test_only_who_may_write_and_only_the_own_project(
    client: httpx.AsyncClient, reader: httpx.AsyncClient, stranger: httpx.AsyncClient, ended: Ended
) -> None:
    old = await ended()
    assert (await reader.post(f"/v1/deliveries/{old['id']}/replay")).status_code == 403
    assert (await stranger.post(f"/v1/deliveries/{old['id']}/replay")).status_code == 404
    for nothing in ("nothing", str(new_id())):
        assert (await client.post(f"/v1/deliveries/{nothing}/replay")).status_code == 404
    assert await replays_of(client, old) == []


@pytest.mark.parametrize("body", [{"as_new": "yes"}, {"new": True}, []])
async def test_a_wrong_body_is_refused(client: httpx.AsyncClient, ended: Ended, body: object) -> None:
    old = await ended()
    assert (await client.post(f"/v1/deliveries/{old['id']}/replay", json=body)).status_code == 422
