"""Webhooks against a real receiver: what is sent, and how each end of an exchange is judged."""

import asyncio
import json
import weakref
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from notifier.channels import signing
from notifier.channels.transfer import ANSWER_BYTES
from notifier.channels.webhook import WebhookChannel, retry_after
from notifier.domain.delivery import AttemptOutcome, Reason
from tests.channels.samples import MESSAGE_ID, to
from tests.processes import until
from tests.receivers import Answer, HttpReceiver, raw_server

DELIVERED, FAILED, REJECTED = AttemptOutcome.DELIVERED, AttemptOutcome.FAILED, AttemptOutcome.REJECTED
TIMEOUT, CONNECTION_LOST = AttemptOutcome.TIMEOUT, AttemptOutcome.CONNECTION_LOST


async def test_the_message_is_what_the_api_promises(channel: WebhookChannel, receiver: HttpReceiver) -> None:
    sent_at = datetime(2026, 11, 23, 9, 0, 1, tzinfo=UTC)
    outcome = await channel.prepare(
        to(receiver.url + "/hook?a=1", sent_at=sent_at, headers={"X-Team": "garden"})
    )()
    assert (outcome.result, outcome.status_code) == (DELIVERED, 200)
    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", "/hook?a=1")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("notifier/")
    assert request.headers["x-team"] == "garden"
    assert request.headers["webhook-id"] == MESSAGE_ID
    assert request.headers["webhook-timestamp"] == str(int(sent_at.timestamp()))
    assert json.loads(request.body) == {
        "type": "notification.due",
        "timestamp": "2026-11-23T09:00:01Z",
        "data": {
            "notification_id": "00000000-0000-0000-0000-000000000002",
            "delivery_id": "00000000-0000-0000-0000-000000000001",
            "external_id": "plants",
            "scheduled_for": "2026-11-23T09:00:00Z",
            "attempt": 1,
            "title": "Water the plants",
            "body": "Hi Ada.",
            "data": {"name": "Ada"},
        },
    }


@pytest.mark.usefixtures("no_collector")
async def test_what_is_answered_is_forgotten_at_once(channel: WebhookChannel, receiver: HttpReceiver) -> None:
    sending = channel.prepare(to(receiver.url))()
    await sending
    forgotten = weakref.ref(sending)
    del sending
    await until(lambda: forgotten() is None)


async def test_while_rotating_each_secret_verifies_and_no_other(
    channel: WebhookChannel, receiver: HttpReceiver
) -> None:
    new, old, other = (signing.new_secret() for _ in range(3))
    await channel.prepare(to(receiver.url, secrets=(new, old), body="Grüße \N{SEEDLING}"))()
    (request,) = receiver.requests
    assert [part[:3] for part in request.headers["webhook-signature"].split(" ")] == ["v1,", "v1,"]
    for secret in (new, old):
        Webhook(secret).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(request.body, request.headers)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_delivered(channel: WebhookChannel, receiver: HttpReceiver, status: int) -> None:
    receiver.always = Answer(status)
    assert (await channel.prepare(to(receiver.url))()).result is DELIVERED


@pytest.mark.parametrize("status", [400, 401, 404, 408, 429, 500, 502, 503, 599])
async def test_every_other_status_is_a_definite_failure(
    channel: WebhookChannel, receiver: HttpReceiver, status: int
) -> None:
    receiver.always = Answer(status, body=b"no \x00thanks\n")
    outcome = await channel.prepare(to(receiver.url))()
    assert (outcome.result, outcome.status_code) == (FAILED, status)
    assert outcome.error == f"HTTP {status}: no thanks"


TOKEN = "Bearer s3cr3t-t0ken-0123456789"


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with an error that says the request back, as debugging pages do."""
    request = await reader.readuntil(b"\r\n\r\n")
    said = request + json.dumps(request.decode()).encode()
    writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: %d\r\n\r\n" % len(said) + said)
    await writer.drain()


@pytest.mark.parametrize("value", [TOKEN, 'say "friend" and enter', "k" * 3000, "x y"])
async def test_what_a_receiver_says_back_of_confidential_headers_is_masked(
    channel: WebhookChannel, value: str
) -> None:
    async with raw_server(echo) as port:
        outcome = await channel.prepare(to(f"http://127.0.0.1:{port}/", headers={"A": value}))()
    assert outcome.status_code == 500
    assert " a: ******** " in (outcome.error or "")
    assert not any(part in (outcome.error or "") for part in (value, "t0ken", "friend", "kkk"))


async def test_what_a_receiver_says_back_of_secrets_is_masked(
    channel: WebhookChannel, receiver: HttpReceiver
) -> None:
    secret = signing.new_secret()
    said = f"wrong signature for {secret}, that is {secret.removeprefix('whsec_')}"
    receiver.always = Answer(400, body=said.encode())
    outcome = await channel.prepare(to(receiver.url, secrets=(secret,)))()
    assert outcome.error == "HTTP 400: wrong signature for ********, that is ********"


async def test_a_value_in_an_answer_that_is_not_http_is_masked(channel: WebhookChannel) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        writer.write(next(line for line in request.splitlines() if b"Bearer" in line) + b"\r\n\r\n")
        await writer.drain()

    async with raw_server(talk) as port:
        outcome = await channel.prepare(to(f"http://127.0.0.1:{port}/", headers={"Authorization": TOKEN}))()
    assert outcome.result is CONNECTION_LOST
    assert "t0ken" not in (outcome.error or "")


async def test_410_means_that_the_destination_is_gone(
    channel: WebhookChannel, receiver: HttpReceiver
) -> None:
    receiver.always = Answer(410)
    outcome = await channel.prepare(to(receiver.url))()
    assert (outcome.result, outcome.reason) == (REJECTED, Reason.DESTINATION_GONE)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(
    channel: WebhookChannel, receiver: HttpReceiver, status: int
) -> None:
    receiver.always = Answer(status, {"location": receiver.url + "/elsewhere"})
    outcome = await channel.prepare(to(receiver.url))()
    assert (outcome.result, outcome.status_code, len(receiver.requests)) == (FAILED, status, 1)


async def test_retry_after_is_passed_on(channel: WebhookChannel, receiver: HttpReceiver) -> None:
    receiver.always = Answer(429, {"retry-after": "120"})
    assert (await channel.prepare(to(receiver.url))()).retry_after == timedelta(seconds=120)


NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        (" 30 ", 30),
        ("999999999", 999999999),
        ("Mon, 23 Nov 2026 09:01:00 GMT", 60),
        ("Monday, 23-Nov-26 09:01:00 GMT", 60),
        ("Mon, 23 Nov 2026 08:59:00 GMT", None),
        ("Mon Nov 23 09:01:00 2026", 60),  # asctime, always GMT
        ("Mon, 23 Nov 2026 10:01:00 +0100", 60),
        ("9999999999", 9999999999),
        ("9" * 5000, 9999999999),  # longer than anybody waits, so it need not be exact
        ("0" * 5000 + "30", 30),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("Mon, 99 Nov 2026 99:01:00 GMT", None),
        ("Mon, 23 Nov 99999999 09:01:00 GMT", None),
        ("Mon, 23 Nov 2026 09:01:00 +9999999", None),
        ("23", 23),
        ("GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_and_nonsense_is_ignored(value: str | None, seconds: int | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert retry_after(value, NOW) == expected


async def test_no_answer_in_time_is_ambiguous(channel: WebhookChannel, receiver: HttpReceiver) -> None:
    receiver.always = Answer(hang=True)
    outcome = await channel.prepare(to(receiver.url))()
    assert (outcome.result, outcome.error) == (TIMEOUT, "no answer within 1 s")


async def test_a_connection_dropped_without_an_answer_is_ambiguous(
    channel: WebhookChannel, receiver: HttpReceiver
) -> None:
    receiver.always = Answer(reset=True)
    assert (await channel.prepare(to(receiver.url))()).result is CONNECTION_LOST
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(("status", "result"), [(200, DELIVERED), (500, FAILED)])
@pytest.mark.parametrize("ending", [{"reset": True, "headers_first": True}, {"drip": True}])
async def test_the_status_decides_whatever_becomes_of_the_body(
    channel: WebhookChannel,
    receiver: HttpReceiver,
    status: int,
    result: AttemptOutcome,
    ending: dict[str, Any],
) -> None:
    receiver.always = Answer(status, **ending)
    assert (await channel.prepare(to(receiver.url))()).result is result


async def test_only_the_beginning_of_a_long_answer_is_read(
    channel: WebhookChannel, receiver: HttpReceiver
) -> None:
    receiver.always = Answer(500, body=b"x" * 10_000_000)
    outcome = await channel.prepare(to(receiver.url))()
    assert len(outcome.error or "") < ANSWER_BYTES


async def test_a_compressed_bomb_is_not_opened(channel: WebhookChannel, receiver: HttpReceiver) -> None:
    receiver.always = Answer(500, {"content-encoding": "gzip"}, b"not gzip at all")
    assert (await channel.prepare(to(receiver.url))()).error == "HTTP 500: not gzip at all"


async def test_cookies_are_not_kept(channel: WebhookChannel, receiver: HttpReceiver) -> None:
    receiver.always = Answer(200, {"set-cookie": "session=1"})
    await channel.prepare(to(receiver.url))()
    await channel.prepare(to(receiver.url))()
    assert "cookie" not in receiver.requests[1].headers


async def test_a_retry_carries_the_same_id_and_its_own_number(
    channel: WebhookChannel, receiver: HttpReceiver
) -> None:
    first = to(receiver.url)
    await channel.prepare(first)()
    await channel.prepare(first._replace(attempt=2))()
    assert [request.headers["webhook-id"] for request in receiver.requests] == [MESSAGE_ID] * 2
    assert [json.loads(request.body)["data"]["attempt"] for request in receiver.requests] == [1, 2]
