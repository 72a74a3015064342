"""`DELETE ?purge=true`: what a notification said is gone, that it was sent is not."""

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Text, cast, func, literal_column, select

from notifier.storage.engine import Database
from notifier.storage.tables import metadata
from tests.api.conftest import Rehearsal, Rehearse

SECRET = "Xylophone"
FULL = {
    "title": f"{SECRET} title",
    "body": f"{SECRET} {{{{ name }}}}",
    "data": {"name": SECRET},
    "external_id": f"{SECRET}-1",
    "schedule": {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "UTC"},
}


async def tables_that_hold(database: Database, words: str) -> set[str]:
    """Return the tables in which a row, read as text, holds the words."""
    found = set()
    async with database.transaction() as session:
        for table in metadata.sorted_tables:
            row = cast(literal_column(table.name), Text)
            holding = select(func.count()).select_from(table).where(row.contains(words))
            if (await session.execute(holding)).scalar_one():
                found.add(table.name)
    return found


async def history(rehearse: Rehearse) -> tuple[Rehearsal, dict]:
    """Return a notification with revisions, deliveries, exceptions, a pause."""
    house = await rehearse("2027-03-01T00:00:00Z")
    made = await house.create(**FULL)
    at = f"/v1/notifications/{made['id']}"
    await house.client.patch(at, json={"title": f"{SECRET} again"})
    words = {"slot": "2027-03-02T09:00:00Z", "action": "reword", "title": SECRET, "body": SECRET}
    await house.post(f"{at}/exceptions", words, 201)
    await house.advance("2027-03-02T12:00:00Z")
    await house.post(f"{at}/send", status=202)
    await house.post(f"{at}/pause", {"reason": SECRET})
    return house, made


async def test_purge_erases_the_content_everywhere_and_keeps_the_ledger(
    rehearse: Rehearse, database: Database
) -> None:
    house, made = await history(rehearse)
    before = await house.ledger()
    assert await tables_that_hold(database, SECRET) == {
        "notifications",
        "notification_revisions",
        "notification_exceptions",
    }
    answer = await house.client.delete(f"/v1/notifications/{made['id']}", params={"purge": True})
    assert (answer.status_code, answer.content) == (204, b"")
    assert await tables_that_hold(database, SECRET) == set()
    after = await house.ledger(notification_id=made["id"])
    assert [one[0] for one in after] == [one[0] for one in before]
    assert [one[1] for one in after] == ["delivered", "delivered", "canceled"]


async def test_what_was_deleted_before_can_still_be_purged(rehearse: Rehearse, database: Database) -> None:
    house, made = await history(rehearse)
    at = f"/v1/notifications/{made['id']}"
    assert (await house.client.delete(at)).status_code == 204
    assert await tables_that_hold(database, SECRET)
    for _ in range(2):
        assert (await house.client.delete(at, params={"purge": True})).status_code == 204
    assert await tables_that_hold(database, SECRET) == set()
    assert (await house.client.delete(at)).status_code == 404


async def test_purge_heeds_if_match(rehearse: Rehearse) -> None:
    house, made = await history(rehearse)
    at = f"/v1/notifications/{made['id']}"
    stale = await house.client.delete(at, params={"purge": True}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert (await house.get(at))["title"] == f"{SECRET} again"


@pytest.mark.parametrize("value", ["perhaps", ""])
async def test_purge_is_yes_or_no(client: httpx.AsyncClient, value: str) -> None:
    answer = await client.delete("/v1/notifications/x", params={"purge": value})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/purge")


async def test_nobody_purges_the_notification_of_another_project(
    app: FastAPI, rehearse: Rehearse, stranger: httpx.AsyncClient, database: Database
) -> None:
    house, made = await history(rehearse)
    await house.client.delete(f"/v1/notifications/{made['id']}")
    answer = await stranger.delete(f"/v1/notifications/{made['id']}", params={"purge": True})
    assert answer.status_code == 404
    assert await tables_that_hold(database, SECRET)
    await house.client.delete(f"/v1/notifications/{made['id']}", params={"purge": True})
