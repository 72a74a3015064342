"""JSON of lines and messages: what each kind of value looks like in it."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from asyncpg.pgproto.pgproto import UUID as DRIVERS_UUID

from notifier import json_text
from notifier.domain.delivery import Status

ID = "0fbf2d3e-c359-4e20-96bb-882c04e74bd2"


class Odd:
    """What JSON has no word for."""

    def __str__(self) -> str:
        return "odd"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2.5, None, True]}, '{"a":[1,2.5,null,true]}'),
        (UUID(ID), f'"{ID}"'),
        (DRIVERS_UUID(ID), f'"{ID}"'),
        (datetime(2026, 3, 29, 1, 30, tzinfo=UTC), '"2026-03-29T01:30:00Z"'),
        (datetime(2026, 3, 29, 1, 30, microsecond=120_000, tzinfo=UTC), '"2026-03-29T01:30:00.120000Z"'),
        (Status.DELIVERED, '"delivered"'),
        ({1: "a", UUID(ID): "b"}, f'{{"1":"a","{ID}":"b"}}'),
        (10**30, "1" + "0" * 30),
        (float("nan"), "null"),
        ("Grüße ☕", '"Grüße ☕"'),
        (Odd(), '"odd"'),
        ("\ud800", r'"\ud800"'),
        ({"text": "\ud800", "odd": Odd()}, r'{"text":"\ud800","odd":"odd"}'),
        (
            {"text": "\ud800", "at": datetime(2026, 3, 29, tzinfo=UTC)},
            r'{"text":"\ud800","at":"2026-03-29T00:00:00Z"}',
        ),
        (["\ud800", UUID(ID)], rf'["\ud800","{ID}"]'),
        ({None: 1, "a": 2}, '{"None":1,"a":2}'),
    ],
)
def test_a_value_becomes_json(value: object, text: str) -> None:
    assert json_text.write(value) == text
    json.loads(text)


def test_what_is_no_json_is_written_as_asked() -> None:
    assert json_text.write({"error": ValueError("no")}, fallback=repr) == '{"error":"ValueError(\'no\')"}'
