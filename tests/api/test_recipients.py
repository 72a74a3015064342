"""`to`: addresses and ids become stored destinations."""

import asyncio

import httpx
import pytest

from tests.api.conftest import Create

HOOK = "https://example.com/hook"


async def stored(client: httpx.AsyncClient) -> list[dict]:
    return (await client.get("/v1/destinations", params={"limit": 100})).json()["items"]


@pytest.mark.parametrize(
    ("address", "kind", "config"),
    [
        ("log:", "log", {}),
        ("mailto:ada@example.com", "email", {"to": ["ada@example.com"]}),
        (HOOK, "webhook", {"url": HOOK}),
    ],
)
async def test_an_address_makes_a_destination(
    client: httpx.AsyncClient, create: Create, address: str, kind: str, config: dict
) -> None:
    made = await create(to=[address])
    (destination,) = await stored(client)
    assert (destination["kind"], destination["config"]) == (kind, config)
    assert destination["id"] == made["destinations"][0]["id"]


async def test_the_same_address_finds_the_destination_again(
    client: httpx.AsyncClient, create: Create
) -> None:
    first = await create(to=[HOOK, "log:"])
    second = await create(to=[HOOK, HOOK])
    assert second["destinations"][0]["id"] == first["destinations"][0]["id"]
    assert len(second["destinations"]) == 1
    assert len(await stored(client)) == 2


async def test_an_address_finds_a_destination_that_was_made_by_hand(
    client: httpx.AsyncClient, create: Create
) -> None:
    body = {"kind": "webhook", "name": "ops", "config": {"url": HOOK}}
    by_hand = (await client.post("/v1/destinations", json=body)).json()
    (found,) = (await create(to=[HOOK]))["destinations"]
    assert found == {"id": by_hand["id"], "kind": "webhook", "name": "ops"}


async def test_an_address_does_not_find_what_was_deleted(client: httpx.AsyncClient, create: Create) -> None:
    gone = (await client.post("/v1/destinations", json={"kind": "log"})).json()
    await client.delete(f"/v1/destinations/{gone['id']}")
    (made,) = (await create())["destinations"]
    assert made["id"] != gone["id"]


async def test_an_id_names_a_destination(client: httpx.AsyncClient, create: Create) -> None:
    one = (await client.post("/v1/destinations", json={"kind": "log", "name": "one"})).json()
    two = (await client.post("/v1/destinations", json={"kind": "log", "name": "two"})).json()
    made = await create(to=[two["id"], one["id"]])
    assert [to["name"] for to in made["destinations"]] == ["two", "one"]


async def test_the_secret_of_a_webhook_made_for_an_address_is_shown_once(
    client: httpx.AsyncClient, create: Create
) -> None:
    made = await create(to=["log:", HOOK])
    log, hook = made["destinations"]
    assert hook["secret"].startswith("whsec_")
    assert "secret" not in log
    again = await create(to=[HOOK])
    at = f"/v1/notifications/{made['id']}"
    later = [
        again["destinations"],
        (await client.get(at)).json(),
        (await client.get("/v1/notifications")).json(),
    ]
    later += [(await client.patch(at, json={"title": "New"})).json(), await stored(client)]
    assert "whsec_" not in str(later)


async def test_a_patch_shows_the_secret_of_a_webhook_that_it_made(
    client: httpx.AsyncClient, create: Create
) -> None:
    made = await create()
    patched = await client.patch(f"/v1/notifications/{made['id']}", json={"to": [HOOK]})
    assert [one["kind"] for one in patched.json()["destinations"]] == ["webhook"]
    assert patched.json()["destinations"][0]["secret"].startswith("whsec_")
    assert patched.json()["revision"] == 2


async def test_twenty_creates_at_once_make_one_destination(client: httpx.AsyncClient, create: Create) -> None:
    made = await asyncio.gather(*(create(title=f"{n}", to=[HOOK]) for n in range(20)))
    assert len({one["destinations"][0]["id"] for one in made}) == 1
    assert sum("secret" in one["destinations"][0] for one in made) == 1
    assert len(await stored(client)) == 1


async def test_creates_that_name_the_same_addresses_in_any_order_do_not_block_one_another(
    client: httpx.AsyncClient, create: Create
) -> None:
    addresses = [f"mailto:{name}@example.com" for name in ("ada", "bob", "eve", "joe")]
    orders = [addresses[n:] + addresses[:n] for n in range(4)] * 5
    made = await asyncio.gather(*(create(to=to) for to in orders))
    assert [[one["name"] for one in each["destinations"]] for each in made] == [
        [address.removeprefix("mailto:") for address in to] for to in orders
    ]
    assert len(await stored(client)) == 4


async def test_a_destination_in_use_is_not_deleted(client: httpx.AsyncClient, create: Create) -> None:
    made = await create()
    at = f"/v1/destinations/{made['destinations'][0]['id']}"
    refused = await client.delete(at)
    assert refused.status_code == 409
    assert "1 notification(s)" in refused.json()["detail"]
    await client.delete(f"/v1/notifications/{made['id']}")
    assert (await client.delete(at)).status_code == 204


@pytest.mark.parametrize(
    ("to", "pointer", "code"),
    [
        (["log:", "01a20322-0000-7000-8000-000000000000"], "/to/1", "unknown_destination"),
        (["ftp://example.com"], "/to/0", "unsupported_address"),
        (["ada@example.com"], "/to/0", "unsupported_address"),
        (["mailto:ada"], "/to/0", "invalid_email"),
        (["mailto:ada@example.com?subject=x"], "/to/0", "unsupported_address"),
        (["https://user:pass@example.com/"], "/to/0", "invalid_url"),
        (["http://127.0.0.1:9/"], "/to/0", "address_not_allowed"),
        (["http://169.254.169.254/latest"], "/to/0", "address_not_allowed"),
        (["http://[::1]/"], "/to/0", "address_not_allowed"),
        (["http://localhost/"], "/to/0", "address_not_allowed"),
        (["http://[::1/"], "/to/0", "invalid_url"),
        ([], "/to", "too_short"),
        (["log:"] * 51, "/to", "too_long"),
        ([""], "/to/0", "string_too_short"),
        (["https://example.com/" + "a" * 2050], "/to/0", "string_too_long"),
        ("log:", "/to", "list_type"),
        ([1], "/to/0", "string_type"),
        ([None], "/to/0", "string_type"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_wrong_recipient_is_named_by_its_place(
    client: httpx.AsyncClient, to: object, pointer: str, code: str
) -> None:
    body = {"title": "Water the plants", "schedule": "daily", "to": to}
    answer = await client.post("/v1/notifications", json=body)
    assert answer.status_code == 422
    assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [(pointer, code)]
    assert await stored(client) == []
    assert (await client.get("/v1/notifications")).json()["items"] == []


MAILBOX = "mailto:ada@example.com"


async def test_mail_without_a_mail_server_is_warned_of_by_every_save(client: httpx.AsyncClient) -> None:
    def codes(saved: dict) -> list[str] | None:
        warnings = saved.get("warnings")
        return warnings and [one["code"] for one in warnings]

    body = {"title": "x", "schedule": "daily", "to": [MAILBOX, "mailto:bob@example.com", "log:"]}
    made = (await client.post("/v1/notifications", json=body)).json()
    assert codes(made) == ["not_configured"]
    assert "NOTIFIER_SMTP_HOST" in made["warnings"][0]["detail"]
    many = (await client.post("/v1/notifications/bulk", json={"items": [body]})).json()
    assert [codes(one["notification"]) for one in many["items"]] == [["not_configured"]]
    at = f"/v1/notifications/{made['id']}"
    assert codes((await client.patch(at, json={"to": [MAILBOX]})).json()) == ["not_configured"]
    assert codes((await client.patch(at, json={"title": "y"})).json()) is None
    assert (await client.patch(at, json={"to": ["log:"]})).json()["warnings"] == []
