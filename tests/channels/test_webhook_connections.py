"""Webhooks and their connections: kept, dropped, refused, never allowed; what of it is ambiguous."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from notifier.channels.webhook import WebhookChannel
from notifier.domain.delivery import AttemptOutcome, Reason
from tests.channels.certificates import server_tls
from tests.channels.samples import LOOPBACK, settings, to
from tests.receivers import Answer, HttpReceiver, http_receiver, raw_server

DELIVERED, FAILED, REJECTED = AttemptOutcome.DELIVERED, AttemptOutcome.FAILED, AttemptOutcome.REJECTED
TIMEOUT, CONNECTION_LOST = AttemptOutcome.TIMEOUT, AttemptOutcome.CONNECTION_LOST


async def test_connections_are_kept_alive(channel: WebhookChannel, receiver: HttpReceiver) -> None:
    receiver.always = Answer(200, body=b"ok")
    for _ in range(3):
        await channel.prepare(to(receiver.url))()
    assert (len(receiver.requests), len(receiver.connections)) == (3, 1)


async def _read_request(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    await reader.readexactly(length)


async def test_a_kept_connection_that_dies_during_the_request_sends_nothing_twice(
    channel: WebhookChannel,
) -> None:
    seen = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        await _read_request(reader)
        seen += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await _read_request(reader)
        seen += 1
        writer.transport.abort()

    async with raw_server(talk) as port:
        first = await channel.prepare(to(f"http://127.0.0.1:{port}/"))()
        second = await channel.prepare(to(f"http://127.0.0.1:{port}/"))()
    assert (first.result, second.result, seen) == (DELIVERED, CONNECTION_LOST, 2)
    assert second.error == "the connection was closed before an answer came"


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-hello\r\n", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 999999 Odd\r\n\r\n", b"\x00" * 100],
)
async def test_an_answer_that_is_not_http_is_ambiguous(channel: WebhookChannel, answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _read_request(reader)
        writer.write(answer)
        await writer.drain()

    async with raw_server(talk) as port:
        assert (await channel.prepare(to(f"http://127.0.0.1:{port}/"))()).result is CONNECTION_LOST


async def test_headers_that_drip_end_in_a_time_out(channel: WebhookChannel) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-A: b\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with raw_server(talk) as port:
        assert (await channel.prepare(to(f"http://127.0.0.1:{port}/"))()).result is TIMEOUT


async def test_an_early_answer_to_a_request_that_is_never_read_decides(channel: WebhookChannel) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await asyncio.Event().wait()

    async with raw_server(talk) as port:
        outcome = await channel.prepare(to(f"http://127.0.0.1:{port}/", body="x" * 8_000_000))()
    assert (outcome.result, outcome.status_code) == (FAILED, 413)


async def test_a_refused_connection_is_a_definite_failure(channel: WebhookChannel) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        outcome = await channel.prepare(to(f"http://127.0.0.1:{unheard.getsockname()[1]}/"))()
    assert outcome.result is FAILED
    assert "ssl" not in (outcome.error or "ssl")


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 64 + ".test", "a..b"])
async def test_a_name_that_does_not_resolve_is_a_definite_failure(channel: WebhookChannel, host: str) -> None:
    assert (await channel.prepare(to(f"http://{host}/"))()).result is FAILED


async def test_a_time_out_while_connecting_is_a_definite_failure(channel: WebhookChannel) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with raw_server(talk) as port:  # takes the connection, but never speaks TLS
        assert (await channel.prepare(to(f"https://127.0.0.1:{port}/"))()).result is FAILED


async def test_a_certificate_that_nobody_trusts_is_a_definite_failure(
    channel: WebhookChannel, tmp_path: Path
) -> None:
    tls: ssl.SSLContext = server_tls(tmp_path)
    async with http_receiver(tls=tls) as receiver:
        outcome = await channel.prepare(to(receiver.url))()
    assert (outcome.result, receiver.requests) == (FAILED, [])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f000001", "[::ffff:127.0.0.1]"])
async def test_a_private_address_is_not_dialled(receiver: HttpReceiver, host: str) -> None:
    channel = WebhookChannel(settings(allow_private_destinations=()))
    outcome = await channel.prepare(to(receiver.url.replace("127.0.0.1", host)))()
    await channel.aclose()
    assert (outcome.result, outcome.reason) == (REJECTED, Reason.ADDRESS_BLOCKED)
    assert receiver.requests == []


async def test_of_several_addresses_the_allowed_ones_are_used(receiver: HttpReceiver) -> None:
    # localhost is ::1 and 127.0.0.1 on most machines; here only the second may be dialled
    channel = WebhookChannel(settings(allow_private_destinations=LOOPBACK[:1]))
    outcome = await channel.prepare(to(receiver.url.replace("127.0.0.1", "localhost")))()
    await channel.aclose()
    assert outcome.result is DELIVERED


async def test_no_proxy_is_taken_from_the_environment(
    channel: WebhookChannel, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert (await channel.prepare(to(receiver.url))()).result is DELIVERED
