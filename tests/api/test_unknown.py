"""`/v1/deliveries/{id}/resolve` and `/v1/deliveries/unknown`: what becomes of what nobody knows."""

import asyncio
from uuid import UUID

import httpx
import pytest
from sqlalchemy import update

from notifier.clock import new_id
from notifier.domain.delivery import Status
from notifier.storage import decisions
from notifier.storage.engine import Database
from notifier.storage.tables import deliveries
from tests.api.conftest import Create

AT = "/v1/deliveries/unknown"


async def leave_unknown(
    client: httpx.AsyncClient, database: Database, made: dict, status: str = "unknown"
) -> dict:
    """Return a delivery of which nobody knows whether it arrived, or which stands otherwise."""
    (sent,) = (await client.post(f"/v1/notifications/{made['id']}/send")).json()["deliveries"]
    async with database.transaction() as session:
        row = update(deliveries).where(deliveries.c.id == UUID(sent["id"]))
        await session.execute(row.values(status=status, next_attempt_at=None, attempts_made=1))
    return await get(client, sent)


async def get(client: httpx.AsyncClient, delivery: dict) -> dict:
    found: dict = (await client.get(f"/v1/deliveries/{delivery['id']}")).json()
    return found


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [("delivered", "delivered", "decided"), ("failed", "failed", "decided"), ("retry", "retrying", None)],
)
async def test_a_decision_is_written_and_answered(
    client: httpx.AsyncClient, database: Database, create: Create, said: str, status: str, reason: str | None
) -> None:
    row = await leave_unknown(client, database, await create())
    answer = await client.post(f"/v1/deliveries/{row['id']}/resolve", json={"as": said})
    assert answer.status_code == 200
    done = answer.json()
    assert (done["status"], done["reason"]) == (status, reason)
    assert (done["finished_at"] is None) == (done["next_attempt_at"] is not None) == (said == "retry")
    assert done["message_id"] == row["message_id"]
    assert (await get(client, row)) == {**done, "attempts": []}


@pytest.mark.parametrize("status", sorted(set(Status) - {"unknown", "sending"}))
async def test_only_what_is_unknown_asks_for_a_decision(
    client: httpx.AsyncClient, database: Database, create: Create, status: Status
) -> None:
    row = await leave_unknown(client, database, await create(), status)
    for said in ("delivered", "failed", "retry"):
        answer = await client.post(f"/v1/deliveries/{row['id']}/resolve", json={"as": said})
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:notifier:problem:conflict")
        assert f"`{status}`" in answer.json()["detail"]
    assert await get(client, row) == row


async def test_of_ten_decisions_at_once_one_is_made(
    client: httpx.AsyncClient, database: Database, create: Create
) -> None:
    row = await leave_unknown(client, database, await create())
    said = ["retry"] * 4 + ["delivered", "failed"] * 3
    answers = await asyncio.gather(
        *(client.post(f"/v1/deliveries/{row['id']}/resolve", json={"as": one}) for one in said)
    )
    assert sorted(one.status_code for one in answers) == [200] + [409] * 9
    (made,) = [one.json() for one in answers if one.is_success]
    assert (await get(client, row))["status"] == made["status"]


async def test_what_was_deleted_meanwhile_is_settled_but_not_sent_again(
    client: httpx.AsyncClient, database: Database, create: Create
) -> None:
    made = await create()
    row = await leave_unknown(client, database, made)
    await client.delete(f"/v1/notifications/{made['id']}")
    answer = await client.post(f"/v1/deliveries/{row['id']}/resolve", json={"as": "retry"})
    assert answer.status_code == 409
    assert "deleted" in answer.json()["detail"]
    assert (await client.post(AT, json={"as": "retry"})).json() == {"count": 0}
    settled = await client.post(f"/v1/deliveries/{row['id']}/resolve", json={"as": "delivered"})
    assert settled.json()["status"] == "delivered"


@pytest.mark.parametrize("said", ["delivered", "failed", "retry"])
async def test_many_are_decided_by_a_filter(
    client: httpx.AsyncClient, database: Database, create: Create, said: str
) -> None:
    made, other = await create(), await create(to=["mailto:ada@example.com"])
    rows = [await leave_unknown(client, database, made) for _ in range(3)]
    left = await leave_unknown(client, database, other)
    filters = {"notification_id": made["id"], "until": rows[1]["scheduled_for"]}
    assert (await client.post(AT, json={"as": said, **filters})).json() == {"count": 2}
    became = {"retry": "retrying"}.get(said, said)
    assert [(await get(client, row))["status"] for row in rows] == [became, became, "unknown"]
    target = {"destination_id": left["destination_id"]}
    assert (await client.post(AT, json={"as": said, **target})).json() == {"count": 1}
    assert (await client.post(AT, json={"as": said})).json() == {"count": 1}
    assert (await client.post(AT, json={"as": said})).json() == {"count": 0}


async def test_no_decision_reaches_another_project(
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    reader: httpx.AsyncClient,
    database: Database,
    create: Create,
) -> None:
    row = await leave_unknown(client, database, await create())
    at = f"/v1/deliveries/{row['id']}/resolve"
    assert (await stranger.post(at, json={"as": "failed"})).status_code == 404
    assert (await stranger.post(AT, json={"as": "failed"})).json() == {"count": 0}
    assert (await reader.post(at, json={"as": "failed"})).status_code == 403
    assert (await reader.post(AT, json={"as": "failed"})).status_code == 403
    for nothing in ("nothing", str(new_id())):
        missing = await client.post(f"/v1/deliveries/{nothing}/resolve", json={"as": "failed"})
        assert missing.status_code == 404
    assert await get(client, row) == row


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/as"),
        ({"as": "forgotten"}, "/as"),
        ({"as_": "failed"}, "/as"),
        ({"as": None}, "/as"),
        ({"as": "failed", "status": "held"}, "/status"),
        ({"as": "failed", "since": 5}, "/since"),
    ],
)
async def test_a_wrong_decision_is_refused_by_its_place(
    client: httpx.AsyncClient, body: dict, pointer: str
) -> None:
    answer = await client.post(AT, json=body)
    assert answer.status_code == 422
    assert pointer in {one["pointer"] for one in answer.json()["errors"]}


async def test_many_are_decided_batch_by_batch(
    client: httpx.AsyncClient, database: Database, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "BATCH", 2)
    made = await create()
    rows = [await leave_unknown(client, database, made) for _ in range(5)]
    assert (await client.post(AT, json={"as": "retry"})).json() == {"count": 5}
    assert {(await get(client, row))["status"] for row in rows} == {"retrying"}
