"""Requests that come at the same moment are read for together, and kept apart all the same."""

import asyncio

import httpx

from tests.api.conftest import Create


async def test_no_caller_sees_what_another_asked_for(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, create: Create
) -> None:
    made = [await create(title=f"Number {number}") for number in range(5)]
    nobody = {"Authorization": "Bearer ntf_nobody_s_key"}
    paths = [f"/v1/notifications/{one['id']}" for one in made] * 3
    asked = [(client.get(path), stranger.get(path), client.get(path, headers=nobody)) for path in paths]
    answers = await asyncio.gather(*(one for three in asked for one in three))
    assert [answer.status_code for answer in answers] == [200, 404, 401] * len(paths)
    assert [answer.json()["title"] for answer in answers[::3]] == [one["title"] for one in made] * 3


async def test_a_caller_who_only_reads_changes_nothing_whoever_else_does(
    client: httpx.AsyncClient, reader: httpx.AsyncClient
) -> None:
    body = {"title": "Water the plants", "schedule": "daily"}
    asked = [one.post("/v1/notifications", json=body) for one in (client, reader) * 5]
    answers = await asyncio.gather(*asked)
    assert [answer.status_code for answer in answers] == [201, 403] * 5
    assert len((await reader.get("/v1/notifications")).json()["items"]) == 5
