"""What the page about guarantees says is what happens."""

import re
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import pytest

from notifier.storage.encryption import Cipher
from tests.faults.page import BEGIN, END, PAGE
from tests.faults.scenarios import SCENARIOS
from tests.house import SECRET_KEY, House, open_house
from tests.processes import LOOPBACK
from tests.receivers import Answer, HttpReceiver, http_receiver


@pytest.fixture
async def house(database_url: str, redis_url: str) -> AsyncIterator[House]:
    """Yield a wired service that may send to this machine."""
    async with open_house(database_url, redis_url, allow_private_destinations=LOOPBACK) as opened:
        yield opened


@pytest.fixture
def store() -> sqlite3.Connection:
    """Return a receiver's own database."""
    opened = sqlite3.connect(":memory:")
    opened.execute("CREATE TABLE seen (id TEXT PRIMARY KEY)")
    opened.execute("CREATE TABLE reminders (title TEXT)")
    return opened


async def message_sent_twice(house: House, receiver: HttpReceiver) -> str:
    """Have a message sent again because its first answer was lost; return the secret that signs it."""
    receiver.script.append(Answer(reset=True))
    await house.plan_one(title="Water the ficus", to=[receiver.url])
    await house.send()
    await house.sql("UPDATE deliveries SET next_attempt_at = now()")
    await house.send()
    assert [one.outcome for one in await house.attempts()] == ["connection_lost", "delivered"]
    (secret,) = (await house.one("SELECT secrets FROM destinations")).secrets
    return Cipher(SECRET_KEY).decrypt(secret)


def receive() -> Any:
    """Return the receiver that stands in the page."""
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    names: dict[str, Any] = {}
    exec(example, names)
    return names["receive"]


async def test_the_page_s_receiver_does_its_work_once(house: House, store: sqlite3.Connection) -> None:
    async with http_receiver() as receiver:
        secret = await message_sent_twice(house, receiver)
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    answers = [receive()(store, secret, one.headers, one.body) for one in (first, second)]
    assert answers == [200, 200]
    assert store.execute("SELECT title FROM reminders").fetchall() == [("Water the ficus",)]


async def test_the_page_s_receiver_tries_again_what_it_could_not_do(
    house: House, store: sqlite3.Connection
) -> None:
    async with http_receiver() as receiver:
        secret = await message_sent_twice(house, receiver)
    first, second = receiver.requests
    store.execute("ALTER TABLE reminders RENAME TO away")
    with pytest.raises(sqlite3.OperationalError):
        receive()(store, secret, first.headers, first.body)
    store.execute("ALTER TABLE away RENAME TO reminders")
    receive()(store, secret, second.headers, second.body)
    assert store.execute("SELECT title FROM reminders").fetchall() == [("Water the ficus",)]


def test_the_page_s_table_is_of_scenarios_that_there_are_and_shows_no_broken_promise() -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    written, end, _ = rest.partition(END)
    assert before
    assert end
    lines = [line.strip("| ").split(" | ") for line in written.splitlines() if line.startswith("| ")]
    rows = [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]
    assert {row["scenario"] for row in rows} <= {one.name for one in SCENARIOS if one.full is not None}
    for row in rows:
        assert (row["lost"], row["unexplained"], row["unrecorded"]) == ("0", "0", "0"), row
