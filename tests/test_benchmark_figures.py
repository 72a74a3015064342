"""What the benchmarks reckon with: answers read to their end, growth, and what must have arrived."""

from datetime import UTC, datetime, timedelta

import pytest
from benchmarks.api_load import Answer, encode, whole
from benchmarks.soak import growth_percent
from benchmarks.soak_account import PERIOD, Account, due
from benchmarks.soak_receiver import Received

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
START = datetime(2026, 11, 23, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("read", "answer"),
    [
        (b"", None),
        (b"HTTP/1.1 200 OK\r\nContent-Le", None),
        (OK, None),
        (OK + b"{", None),
        (OK + b"{}", Answer("200", keeps_alive=True)),
        (OK.replace(b"Content-Length", b"content-length") + b"{}", Answer("200", keeps_alive=True)),
        (b"HTTP/1.1 204 No Content\r\nDate: today\r\n\r\n", Answer("204", keeps_alive=True)),
        (
            b"HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            Answer("201", keeps_alive=False),
        ),
    ],
)
def test_an_answer_counts_once_it_is_whole(read: bytes, answer: Answer | None) -> None:
    assert whole(bytearray(read)) == answer


def test_a_request_says_how_long_its_body_is() -> None:
    asked = encode({"method": "POST", "path": "/v1/x", "headers": {"A": "b"}, "body": {"ä": 1}}, "localhost")
    head, _, body = asked.partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[:3] == [b"POST /v1/x HTTP/1.1", b"Host: localhost", b"A: b"]
    assert f"Content-Length: {len(body)}".encode() in head
    assert encode({"method": "GET", "path": "/"}, "localhost").endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("samples", "percent"),
    [
        ([100.0] * 20, 0),
        # the first fifth, where pools fill, does not count
        ([50.0] * 4 + [100.0] * 16, 0),
        # sixteen are left: the last four of them against the first four
        ([50.0] * 4 + [100.0] * 4 + [200.0] * 8 + [110.0] * 4, 10),
        ([100.0] * 12 + [80.0] * 8, -20),
        ([100.0], 0),
    ],
)
def test_growth_is_the_last_quarter_over_the_first_one_after_the_warm_up(
    samples: list[float], percent: float
) -> None:
    assert growth_percent(samples) == pytest.approx(percent)


def test_what_must_arrive_is_every_slot_up_to_the_end() -> None:
    first = {"a": START, "z": START + 10 * PERIOD}
    for until, slots in ((START - timedelta(seconds=1), 0), (START, 1), (START + PERIOD, 2)):
        assert dict(due(first, until)) == {"a": slots, "z": 0}
    assert dict(due(first, START + 12 * PERIOD, most=1)) == {"a": 1, "z": 1}


def came(notification_id: str, slot: datetime, number: int) -> Received:
    return Received(slot.timestamp() + 2.0, f"msg_{number:032x}", notification_id, slot)


def test_the_account_tells_what_is_missing_what_came_twice_and_what_was_never_sent() -> None:
    account = Account({"a": START, "b": START})
    account.take(
        [came("a", START, 1), came("a", START + 2 * PERIOD, 2), came("somebody's", START + PERIOD, 3)]
    )
    assert account.missing([("a", 3), ("b", 2)]) == 3  # the second of a, both of b
    assert (account.received, account.doubled, list(account.lags)) == (3, 0, [2.0] * 3)
    assert account.per_second == pytest.approx(3 / 120)  # two minutes from the first to the last
    account.take([came("a", START + 2 * PERIOD, 2), came("b", START + timedelta(seconds=1), 4)])
    assert account.doubled == 1
    assert account.missing([("a", 3), ("b", 2)]) == 3  # a slot that there is not is none of them
    assert account.unrecorded(f"msg_{number:032x}" for number in (1, 2, 5)) == 1
