"""A POST is one statement where it can be, and stores nothing that sends to what is gone."""

import asyncio
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import event, func, select, text, update

from notifier.storage.engine import Database
from notifier.storage.tables import destinations, notification_revisions, notifications
from tests.api.conftest import Create, Project

HOOK = "https://example.com/hook"
DRAFT = {"title": "Water the plants", "schedule": "daily", "to": [HOOK]}
WAITS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND wait_event_type = 'Lock' AND query LIKE '%INSERT INTO notifications%'"
)


@contextmanager
def statements_of(database: Database) -> Any:
    """Yield a list that grows with each statement."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        found.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    yield found
    event.remove(database.engine.sync_engine, "before_cursor_execute", note)


async def count(database: Database, project: Project) -> int:
    statement = select(func.count()).where(notifications.c.project_id == project.id)
    return int((await database.reading().execute(statement)).scalar_one())


async def test_where_its_destinations_are_known_it_is_one_statement_that_writes(
    client: httpx.AsyncClient, create: Create, database: Database
) -> None:
    await create(**DRAFT)
    with statements_of(database) as statements:
        await create(**DRAFT)
    # the key, the destination, the notification
    assert len(statements) == 3
    assert not any("set_config" in one for one in statements)


async def test_all_of_it_was_made_at_one_instant(
    create: Create, database: Database, project: Project
) -> None:
    made = await create(**DRAFT)
    assert made["created_at"] == made["updated_at"]
    tables = (notifications, notification_revisions)
    at = [select(table.c.created_at).where(table.c.project_id == project.id) for table in tables]
    first, second = [(await database.reading().execute(one)).scalar_one() for one in at]
    assert first == second


async def wait_until_it_waits(database: Database) -> None:
    async with asyncio.timeout(20):
        while not (await database.reading().execute(WAITS)).scalar_one():
            await asyncio.sleep(0.01)


async def add_while_it_is_deleted(
    client: httpx.AsyncClient, database: Database, to: str, id_: str, **headers: str
) -> Any:
    """Return the answer to a POST that came while a destination was being deleted."""
    async with database.transaction() as session:
        gone = update(destinations).where(destinations.c.id == id_).values(deleted_at=func.now())
        await session.execute(gone)
        posting = asyncio.create_task(
            client.post("/v1/notifications", json={**DRAFT, "to": [to]}, headers=headers)
        )
        await wait_until_it_waits(database)
    return await posting


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "once"}], ids=["alone", "in a transaction"])
async def test_a_destination_that_goes_just_now_is_refused_and_nothing_is_stored(
    client: httpx.AsyncClient, database: Database, project: Project, headers: dict[str, str]
) -> None:
    made = (await client.post("/v1/destinations", json={"kind": "webhook", "config": {"url": HOOK}})).json()
    answer = await add_while_it_is_deleted(client, database, made["id"], made["id"], **headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unknown_destination")
    assert await count(database, project) == 0


async def test_the_destination_of_an_address_that_goes_just_now_is_made_anew(
    client: httpx.AsyncClient, database: Database, project: Project
) -> None:
    made = (await client.post("/v1/destinations", json={"kind": "webhook", "config": {"url": HOOK}})).json()
    answer = await add_while_it_is_deleted(client, database, HOOK, made["id"])
    assert answer.status_code == 201
    assert answer.json()["destinations"][0]["id"] != made["id"]
    assert await count(database, project) == 1


async def test_a_failure_after_the_first_statement_leaves_nothing(
    client: httpx.AsyncClient, database: Database, project: Project
) -> None:
    body = {**DRAFT, "to": [HOOK, "01990000-0000-7000-8000-000000000000"]}
    assert (await client.post("/v1/notifications", json=body)).status_code == 422
    assert await count(database, project) == 0
    assert (await client.get("/v1/destinations")).json()["items"] == []
