"""Every call of the page about the ledger does what the page says, on a ledger that has something to do."""

import re
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import update

from notifier.storage.engine import Database
from notifier.storage.tables import deliveries
from tests.api.conftest import Create

PAGE = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text().replace("\\\n", "")
CALLS = re.findall(r"""^curl -sS (?:-X POST )?"\$URL(\S+)".*?(?:-d '(.*)')?$""", PAGE, re.M)


def filled(call: str, sent: dict) -> str:
    """Return what the shell makes of it."""
    call = call.replace("""'"$""", "$").replace(""""'""", "")
    values = {"$ID": "notification_id", "$DELIVERY": "id", "$DESTINATION": "destination_id"}
    for name, field in values.items():
        call = re.sub(rf"\{name}\b", sent[field], call)
    return call


def test_the_page_has_a_call_for_each_thing_to_do() -> None:
    paths = [path.partition("?")[0].removeprefix("/v1/deliveries") for path, _ in CALLS]
    assert paths == ["", "/held", "/$DELIVERY/resolve", "/unknown", "/$DELIVERY/replay", "/replay", "/replay"]


@pytest.mark.parametrize(("path", "body"), CALLS)
async def test_a_call_of_the_page_works_as_it_stands_there(
    client: httpx.AsyncClient, database: Database, create: Create, path: str, body: str
) -> None:
    made = await create()
    (sent,) = (await client.post(f"/v1/notifications/{made['id']}/send")).json()["deliveries"]
    status = {"held": "held", "resolve": "unknown", "unknown": "unknown"}.get(Path(path).name, "failed")
    async with database.transaction() as session:
        row = update(deliveries).where(deliveries.c.id == UUID(sent["id"]))
        await session.execute(row.values(status=status, next_attempt_at=None))
    method = "GET" if "?" in path else "POST"
    answer = await client.request(
        method,
        filled(path, sent),
        content=filled(body, sent) or None,
        headers={"Content-Type": "application/json"},
    )
    assert answer.is_success, answer.text
    told = answer.json()
    assert told.get("count", 1) == 1
    assert len(told.get("items", [1])) == 1
