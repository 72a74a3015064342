"""One POST over libcurl: what becomes of connections, and what is known when it fails."""

import asyncio
import socket
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from notifier.channels import posting
from notifier.channels.curl_loop import CurlLoop
from notifier.channels.posting import Poster
from notifier.channels.transfer import Exchange
from tests.channels.certificates import server_tls
from tests.channels.samples import LOOPBACK
from tests.processes import until
from tests.receivers import Answer, HttpReceiver, http_receiver, raw_server

LINES = ["content-type: application/json", "expect:"]


@pytest.fixture
async def poster() -> AsyncIterator[Poster]:
    made = Poster(LOOPBACK)
    yield made
    await made.aclose()


async def post(poster: Poster, url: str, body: bytes = b"{}", lines: list[str] = LINES) -> Exchange:
    exchange, ended = Exchange(), asyncio.Event()
    poster.begin(exchange, url, lines, body, ended.set)
    await ended.wait()
    return exchange


def test_many_at_once_arrive_once_each_over_the_loop_of_a_worker() -> None:
    async def send() -> list[bytes]:
        poster = Poster(LOOPBACK)
        async with http_receiver() as receiver:
            for _ in range(3):
                bodies = [b"%d" % number for number in range(200)]
                answers = await asyncio.gather(*(post(poster, receiver.url, body) for body in bodies))
                assert {answer.status for answer in answers} == {200}
            await poster.aclose()
            assert len(receiver.connections) <= 200
            return [request.body for request in receiver.requests]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        arrived = runner.run(send())
    assert sorted(arrived) == sorted(b"%d" % number for number in range(200) for _ in range(3))


async def test_a_large_body_arrives_whole_and_at_once(poster: Poster, receiver: HttpReceiver) -> None:
    body = b"x" * 3_000_000
    assert (await post(poster, receiver.url, body)).status == 200
    (request,) = receiver.requests
    assert request.body == body
    assert not {"expect", "transfer-encoding"} & request.headers.keys()


async def test_an_empty_header_is_sent(poster: Poster, receiver: HttpReceiver) -> None:
    await post(poster, receiver.url, lines=[*LINES, "x-empty;"])
    assert receiver.requests[0].headers["x-empty"] == ""


async def test_nothing_has_left_for_a_port_that_refuses_even_after_a_success(
    poster: Poster, receiver: HttpReceiver
) -> None:
    assert (await post(poster, receiver.url)).status == 200
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        exchange = await post(poster, f"http://127.0.0.1:{unheard.getsockname()[1]}/")
    assert (exchange.status, exchange.may_have_left) == (None, False)
    assert "connect" in (exchange.error or "").lower()


async def test_announcements_are_no_answer(poster: Poster) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Busy\r\nRETRY-AFTER: 7 \r\nRetry-After: 8\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.read()

    async with raw_server(talk) as port:
        exchange = await post(poster, f"http://127.0.0.1:{port}/")
    assert (exchange.status, exchange.retry_after) == (503, "7")


async def test_who_is_trusted_is_what_python_trusts(
    poster: Poster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with http_receiver(tls=server_tls(tmp_path)) as receiver:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
        exchanges = [await post(poster, receiver.url) for _ in range(2)]
        assert [exchange.status for exchange in exchanges] == [200, 200]
        assert len(receiver.connections) == 1


async def test_idle_connections_are_closed_and_made_again(
    poster: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert await reader.read() == b""
        closed.set()

    monkeypatch.setattr(posting, "KEEP_ALIVE_SECONDS", 0.1)
    async with raw_server(talk) as port:
        for _ in range(2):
            closed.clear()
            assert (await post(poster, f"http://127.0.0.1:{port}/")).status == 200
            await asyncio.wait_for(closed.wait(), 10)


# said, so the connection is given up at once; without a word, so it is kept until the end is seen
@pytest.mark.parametrize("head", [b"Connection: close\r\n", b""])
async def test_a_connection_that_the_other_side_closed_costs_nothing(poster: Poster, head: bytes) -> None:
    served = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n%b\r\n" % head)
        await writer.drain()
        served += 1

    def has_seen_the_end() -> bool:
        return poster._curls is not None and not poster._curls._selector.get_map()

    async with raw_server(talk) as port:
        for number in range(5):
            exchange = await post(poster, f"http://127.0.0.1:{port}/")
            assert (exchange.status, served) == (200, number + 1)
            if not head:
                await until(has_seen_the_end)


@pytest.mark.parametrize("line", ["x: a\r\ny: b", "x: a\ny: b", "x: \0", "x: \u00e9"])
async def test_a_header_that_http_cannot_say_is_a_definite_failure_and_does_no_harm(
    poster: Poster, receiver: HttpReceiver, line: str
) -> None:
    assert (await post(poster, receiver.url)).status == 200
    exchange = await post(poster, receiver.url, lines=[*LINES, line])
    assert (exchange.status, exchange.may_have_left) == (None, False)
    assert (exchange.error or "").startswith("the request cannot be written")
    assert (await post(poster, receiver.url)).status == 200
    assert (len(receiver.requests), len(poster._free)) == (2, 1)


async def test_an_end_can_be_followed_by_more_posts(
    poster: Poster, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "KEEP_ALIVE_SECONDS", 0.1)
    for _ in range(2):
        assert (await post(poster, receiver.url)).status == 200
        await poster.aclose()
    assert (await post(poster, receiver.url)).status == 200
    await until(lambda: poster._curls is None)


async def test_what_is_stopped_tells_whether_it_has_left_and_others_go_on(
    poster: Poster, receiver: HttpReceiver
) -> None:
    receiver.script.append(Answer(hang=True))
    exchange, ended = Exchange(), list[str]()
    sending = poster.begin(exchange, receiver.url, LINES, b"{}", lambda: ended.append("once"))
    await until(lambda: bool(receiver.requests))
    sending.stop()
    sending.stop()
    assert (exchange.status, exchange.may_have_left, ended) == (None, True, ["once"])
    assert (await post(poster, receiver.url)).status == 200


async def test_a_message_that_cannot_be_begun_keeps_no_handle(
    poster: Poster, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await post(poster, receiver.url)).status == 200
    with monkeypatch.context() as patch:
        patch.setattr(CurlLoop, "start", lambda *_: [].pop())
        exchange = await post(poster, receiver.url)
    assert exchange.error == "the request cannot be written (IndexError)"
    assert len(poster._free) == 1
    assert (await post(poster, receiver.url)).status == 200


@pytest.mark.usefixtures("no_collector")
async def test_handles_are_let_go_of_with_their_connections(poster: Poster, receiver: HttpReceiver) -> None:
    await asyncio.gather(*(post(poster, receiver.url) for _ in range(3)))
    kept = [weakref.ref(transfer) for transfer in poster._free]
    await poster.aclose()
    await until(lambda: all(one() is None for one in kept))
    assert kept


async def test_an_end_that_fails_costs_the_others_nothing(poster: Poster, receiver: HttpReceiver) -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    poster.begin(Exchange(), receiver.url, LINES, b"{}", fail)
    assert (await post(poster, receiver.url)).status == 200
    await until(lambda: len(poster._free) == 2)


async def test_who_stops_what_has_ended_stops_nobody_else(poster: Poster, receiver: HttpReceiver) -> None:
    ended = asyncio.Event()
    over = poster.begin(Exchange(), receiver.url, LINES, b"{}", ended.set)
    await ended.wait()
    receiver.script.append(Answer(hang=True))
    sending = asyncio.create_task(post(poster, receiver.url))
    await until(lambda: len(receiver.requests) == 2)
    over.stop()
    await asyncio.sleep(0)
    assert (sending.done(), poster._transfers) == (False, 1)
    await poster.aclose()
    await sending


async def test_an_end_ends_what_is_on_its_way(poster: Poster, receiver: HttpReceiver) -> None:
    receiver.always = Answer(hang=True)
    sending = asyncio.create_task(post(poster, receiver.url))
    await until(lambda: bool(receiver.requests))
    await poster.aclose()
    exchange = await sending
    assert (exchange.status, exchange.error, exchange.may_have_left) == (None, "ended here", True)
