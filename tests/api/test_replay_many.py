"""`/v1/deliveries/replay`: many are sent again by a filter, and no call sends twice what another one did."""

import asyncio
from datetime import timedelta
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, insert, select, text, update

from notifier.clock import new_id
from notifier.services import replaying
from notifier.storage.engine import Database
from notifier.storage.tables import deliveries
from tests.api.conftest import Create, Project

AT = "/v1/deliveries/replay"
FAILED = {"status": "failed", "reason": "retries_exhausted", "next_attempt_at": None}


async def fill(database: Database, project: Project, made: dict, count: int, **changes: object) -> list[str]:
    """Return the ids of deliveries of a notification that have ended, oldest first, an hour apart."""
    (target,) = made["destinations"]
    common = {
        "project_id": project.id,
        "notification_id": UUID(made["id"]),
        "revision": 1,
        "destination_id": UUID(target["id"]),
        "trigger": "schedule",
        "attempts_made": 1,
        **FAILED,
        **changes,
    }
    async with database.transaction() as session:
        now = (await session.execute(select(func.date_trunc("hour", func.now())))).scalar_one()
        rows = [
            {
                **common,
                "id": new_id(),
                "scheduled_for": now - timedelta(hours=count - number),
                "message_id": f"msg_{number}",
            }
            for number in range(count)
        ]
        await session.execute(insert(deliveries).values(rows))
    return [str(row["id"]) for row in rows]


async def replay(client: httpx.AsyncClient, **body: object) -> dict:
    answer = await client.post(AT, json=body)
    assert answer.status_code == 202, answer.text
    done: dict = answer.json()
    return done


async def count(client: httpx.AsyncClient) -> int:
    found = await client.get("/v1/deliveries", params={"limit": 100})
    return sum(one["trigger"] == "replay" for one in found.json()["items"])


async def end(database: Database, project: Project, status: str) -> None:
    """Let all replays end, and be older than a double click takes."""
    older = deliveries.c.created_at - text("interval '1 minute'")
    which = (deliveries.c.project_id == project.id) & deliveries.c.replay_of.is_not(None)
    ended = {"status": status, "next_attempt_at": None, "created_at": older, "finished_at": older}
    async with database.transaction() as session:
        await session.execute(update(deliveries).where(which).values(**ended))


async def test_what_a_filter_names_is_sent_again_once(
    client: httpx.AsyncClient, database: Database, project: Project, create: Create
) -> None:
    made = await create()
    await fill(database, project, made, 5)
    nothing = {"count": 5, "left_out": {}, "next_cursor": None}
    assert await replay(client, notification_id=made["id"], dry_run=True) == nothing
    assert await count(client) == 0
    assert await replay(client, notification_id=made["id"]) == nothing
    again = await replay(client, notification_id=made["id"])
    assert again == {"count": 0, "left_out": {"under_way": 5}, "next_cursor": None}
    assert await count(client) == 5


async def test_what_a_replay_has_brought_is_left_out_and_what_failed_again_is_not(
    client: httpx.AsyncClient, database: Database, project: Project, create: Create
) -> None:
    made = await create()
    ids = await fill(database, project, made, 2)
    await replay(client, notification_id=made["id"])
    await end(database, project, "failed")
    # the two originals; their replays failed too, and belong to them
    assert (await replay(client, notification_id=made["id"]))["count"] == 2
    await end(database, project, "delivered")
    done = await replay(client, notification_id=made["id"])
    assert (done["count"], done["left_out"]) == (0, {"delivered_since": 2})
    # whoever names one by its id means it
    assert (await replay(client, ids=ids))["count"] == 2


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, 3),
        ({"status": "delivered"}, 2),
        ({"status": "missed"}, 1),
        ({"reason": "coalesced"}, 1),
        ({"status": "failed", "reason": "coalesced"}, 0),
        ({"since": 2}, 2),
        ({"until": 2}, 2),
        ({"since": 1, "until": 1}, 1),
    ],
)
async def test_filters_narrow_what_is_sent_again_and_what_failed_is_meant_if_they_do_not_say(
    client: httpx.AsyncClient,
    database: Database,
    project: Project,
    create: Create,
    filters: dict,
    expected: int,
) -> None:
    made = await create()
    failed = await fill(database, project, made, 3)  # 3, 2 and 1 hours ago
    other = await create(to=["mailto:ada@example.com"])
    await fill(database, project, other, 3)
    elsewhere = [{"status": "delivered", "reason": None}, {"status": "missed", "reason": "coalesced"}]
    for changes, many in zip(elsewhere, (2, 1), strict=True):
        await fill(database, project, made, many, trigger="manual", **changes)
    at = {
        name: (await client.get(f"/v1/deliveries/{failed[3 - value]}")).json()["scheduled_for"]
        for name, value in filters.items()
        if isinstance(value, int)
    }
    for which in ("notification_id", "destination_id"):
        chosen = made["id"] if which == "notification_id" else made["destinations"][0]["id"]
        done = await replay(client, **{which: chosen}, **{**filters, **at}, dry_run=True)
        assert done["count"] == expected


async def test_what_cannot_be_sent_again_is_counted_by_its_reason(
    client: httpx.AsyncClient, database: Database, project: Project, create: Create
) -> None:
    made = await create()
    ids = await fill(database, project, made, 1)
    deleted = await create(title="Gone")
    gone = await fill(database, project, deleted, 1)
    await client.delete(f"/v1/notifications/{deleted['id']}")
    ids += gone
    for changes in (
        {"slot_count": 12},
        {"status": "pending"},
        {"status": "unknown"},
    ):
        ids += await fill(database, project, made, 1, trigger="manual", reason=None, **changes)
    tested = (await client.post(f"/v1/destinations/{made['destinations'][0]['id']}/test")).json()["id"]
    done = await replay(client, ids=[*ids, tested, str(new_id())])
    assert done["count"] == 1
    assert done["left_out"] == {
        "notification_deleted": 1,
        "range": 1,
        "not_ended": 2,
        "undecided": 1,
        "not_found": 1,
    }


async def test_ids_of_one_message_are_one_replay(
    client: httpx.AsyncClient, database: Database, project: Project, create: Create
) -> None:
    (first,) = await fill(database, project, await create(), 1)
    second = (await client.post(f"/v1/deliveries/{first}/replay")).json()["id"]
    await end(database, project, "failed")
    done = await replay(client, ids=[first, second, first])
    assert (done["count"], done["left_out"]) == (1, {"under_way": 1})


async def test_as_new_each_gets_a_message_id_of_its_own(
    client: httpx.AsyncClient, database: Database, project: Project, create: Create
) -> None:
    ids = await fill(database, project, await create(), 3)
    await replay(client, ids=ids, as_new=True)
    found = (await client.get("/v1/deliveries")).json()["items"]
    assert len({one["message_id"] for one in found}) == 6


async def test_a_walk_over_many_takes_each_once_though_it_makes_more_that_match(
    client: httpx.AsyncClient,
    database: Database,
    project: Project,
    create: Create,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replaying, "MOST", 2)
    await fill(database, project, await create(), 5, status="delivered", reason=None)
    counts, cursor = [], None
    while not counts or cursor:
        done = await replay(client, status="delivered", cursor=cursor)
        counts.append(done["count"])
        cursor = done["next_cursor"]
        await end(database, project, "delivered")
    assert counts == [2, 2, 1]
    assert await count(client) == 5


async def test_ten_calls_at_once_send_each_once(
    client: httpx.AsyncClient, database: Database, project: Project, create: Create
) -> None:
    made = await create()
    await fill(database, project, made, 20)
    done = await asyncio.gather(*(replay(client, notification_id=made["id"]) for _ in range(10)))
    assert sorted(one["count"] for one in done) == [0] * 9 + [20]
    assert await count(client) == 20


async def test_a_repeated_call_with_its_key_gets_the_same_answer(
    client: httpx.AsyncClient, database: Database, project: Project, create: Create
) -> None:
    ids = await fill(database, project, await create(), 2)
    first, again = [
        await client.post(AT, json={"ids": ids}, headers={"Idempotency-Key": "many"}) for _ in range(2)
    ]
    assert first.json() == again.json() == {"count": 2, "left_out": {}, "next_cursor": None}


async def test_no_call_reaches_another_project(
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    reader: httpx.AsyncClient,
    database: Database,
    project: Project,
    create: Create,
) -> None:
    ids = await fill(database, project, await create(), 2)
    done = await replay(stranger, ids=ids)
    assert (done["count"], done["left_out"]) == (0, {"not_found": 2})
    assert (await replay(stranger, status="failed"))["count"] == 0
    assert (await reader.post(AT, json={"ids": ids})).status_code == 403
    assert await count(client) == 0


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"dry_run": True, "as_new": True}, ""),
        ({"status": None}, ""),
        ({"status": "held"}, "/status"),
        ({"status": "unknown"}, "/status"),
        ({"ids": []}, "/ids"),
        ({"ids": ["x"]}, "/ids/0"),
        ({"since": "yesterday"}, "/since"),
        ({"reason": "r" * 51}, "/reason"),
        ({"title": "Water"}, "/title"),
        ({"status": "failed", "cursor": "?"}, "/cursor"),
        ({"status": "failed", "dry_run": 1}, "/dry_run"),
    ],
)
async def test_a_wrong_call_is_refused_by_its_place(
    client: httpx.AsyncClient, body: dict, pointer: str
) -> None:
    answer = await client.post(AT, json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_ten_thousand_are_sent_again_in_one_call(
    client: httpx.AsyncClient, database: Database, project: Project, create: Create
) -> None:
    made = await create()
    (first,) = await fill(database, project, made, 1)
    names = [one.name for one in deliveries.c if one.name not in {"id", "scheduled_for", "event", "open_end"}]
    copies = (
        f"INSERT INTO deliveries (id, scheduled_for, {', '.join(names)})"
        f" SELECT gen_random_uuid(), scheduled_for - n * interval '1 minute', {', '.join(names)}"
        " FROM deliveries, generate_series(1, 10000) AS n WHERE id = :first"
    )
    async with database.transaction() as session:
        await session.execute(text(copies), {"first": UUID(first)})
    done = await replay(client, notification_id=made["id"])
    assert (done["count"], done["left_out"]) == (10_000, {})
    rest = await replay(client, notification_id=made["id"], cursor=done["next_cursor"])
    assert (rest["count"], rest["next_cursor"]) == (1, None)
