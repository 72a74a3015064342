"""`/v1/deliveries/held`: one decision about what was held after a long silence."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, update

from notifier.storage import decisions
from notifier.storage.engine import Database
from notifier.storage.tables import deliveries, destinations
from tests.api.conftest import Create

AT = "/v1/deliveries/held"


async def hold(
    client: httpx.AsyncClient, database: Database, made: dict, reason: str = "overdue"
) -> list[dict]:
    """Return the deliveries, one for each destination, that are held now."""
    sent: list[dict] = (await client.post(f"/v1/notifications/{made['id']}/send")).json()["deliveries"]
    held: Mapping[str, Any] = {"status": "held", "reason": reason, "next_attempt_at": None}
    async with database.transaction() as session:
        ids = [UUID(one["id"]) for one in sent]
        await session.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(**held))
    return sent


async def statuses(client: httpx.AsyncClient, sent: list[dict]) -> list[tuple[str, str | None]]:
    found = [(await client.get(f"/v1/deliveries/{one['id']}")).json() for one in sent]
    return [(one["status"], one["reason"]) for one in found]


async def test_what_is_released_goes_out_now(
    client: httpx.AsyncClient, database: Database, create: Create
) -> None:
    sent = await hold(client, database, await create())
    answer = await client.post(AT, json={"action": "release"})
    assert (answer.status_code, answer.json()) == (200, {"count": 1})
    found = (await client.get(f"/v1/deliveries/{sent[0]['id']}")).json()
    assert (found["status"], found["reason"], found["finished_at"]) == ("pending", None, None)
    assert found["next_attempt_at"] is not None
    assert (await client.post(AT, json={"action": "release"})).json() == {"count": 0}


async def test_what_is_skipped_ends_with_its_reason(
    client: httpx.AsyncClient, database: Database, create: Create
) -> None:
    sent = await hold(client, database, await create())
    assert (await client.post(AT, json={"action": "skip"})).json() == {"count": 1}
    found = (await client.get(f"/v1/deliveries/{sent[0]['id']}")).json()
    assert (found["status"], found["reason"]) == ("skipped", "overdue")
    assert found["finished_at"] is not None


@pytest.mark.parametrize("name", ["notification_id", "destination_id", "reason"])
async def test_a_filter_leaves_the_others_held(
    client: httpx.AsyncClient, database: Database, create: Create, name: str
) -> None:
    sent = await hold(client, database, await create(to=["log:"]))
    others = await hold(client, database, await create(to=["mailto:a@example.com"]), "next_slot_reached")
    chosen = {"notification_id": sent[0]["notification_id"], "destination_id": sent[0]["destination_id"]}
    body = {"action": "skip", name: {**chosen, "reason": "overdue"}[name]}
    assert (await client.post(AT, json=body)).json() == {"count": 1}
    assert await statuses(client, sent) == [("skipped", "overdue")]
    assert await statuses(client, others) == [("held", "next_slot_reached")]


async def test_what_a_blocked_destination_holds_stays_when_released_and_may_be_skipped(
    client: httpx.AsyncClient, database: Database, create: Create
) -> None:
    sent = await hold(client, database, await create())
    async with database.transaction() as session:
        row = destinations.c.id == UUID(sent[0]["destination_id"])
        await session.execute(update(destinations).where(row).values(blocked_at=func.now()))
    assert (await client.post(AT, json={"action": "release"})).json() == {"count": 0}
    assert (await client.post(AT, json={"action": "skip"})).json() == {"count": 1}
    assert await statuses(client, sent) == [("skipped", "overdue")]


async def test_only_what_is_held_is_decided(
    client: httpx.AsyncClient, database: Database, create: Create
) -> None:
    made = await create()
    waiting = (await client.post(f"/v1/notifications/{made['id']}/send")).json()["deliveries"]
    for action in ("release", "skip"):
        assert (await client.post(AT, json={"action": action})).json() == {"count": 0}
    assert await statuses(client, waiting) == [("pending", None)]


async def test_no_decision_reaches_another_project(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, database: Database, create: Create
) -> None:
    sent = await hold(client, database, await create())
    for action in ("release", "skip"):
        for filters in ({}, {"notification_id": sent[0]["notification_id"]}):
            assert (await stranger.post(AT, json={"action": action, **filters})).json() == {"count": 0}
    assert await statuses(client, sent) == [("held", "overdue")]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/action"),
        ({"action": "forget"}, "/action"),
        ({"action": "skip", "notification_id": "x"}, "/notification_id"),
        ({"action": "skip", "destination_id": 1}, "/destination_id"),
        ({"action": "skip", "reason": "r" * 51}, "/reason"),
        ({"action": "skip", "status": "pending"}, "/status"),
    ],
)
async def test_a_wrong_decision_is_refused_by_its_place(
    client: httpx.AsyncClient, body: dict, pointer: str
) -> None:
    answer = await client.post(AT, json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


@pytest.mark.parametrize(
    ("action", "status"), [("release", ("pending", None)), ("skip", ("skipped", "overdue"))]
)
async def test_many_are_decided_batch_by_batch(
    client: httpx.AsyncClient,
    database: Database,
    create: Create,
    monkeypatch: pytest.MonkeyPatch,
    action: str,
    status: tuple[str, str | None],
) -> None:
    monkeypatch.setattr(decisions, "BATCH", 2)
    made = await create()
    sent = [one for _ in range(5) for one in await hold(client, database, made)]
    assert (await client.post(AT, json={"action": action})).json() == {"count": 5}
    assert await statuses(client, sent) == [status] * 5
