"""Mail against a real SMTP server: what is sent, and how each end of a session is judged."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from notifier.channels.email import PATIENT_TRIES, EmailChannel
from notifier.domain.delivery import AttemptOutcome, Envelope, Outcome, Reason
from tests.channels.certificates import server_tls
from tests.channels.samples import MESSAGE_ID, envelope, settings
from tests.receivers import SmtpReceiver, raw_server, smtp_receiver

DELIVERED, FAILED, REJECTED = AttemptOutcome.DELIVERED, AttemptOutcome.FAILED, AttemptOutcome.REJECTED
TIMEOUT, CONNECTION_LOST = AttemptOutcome.TIMEOUT, AttemptOutcome.CONNECTION_LOST
ADA, BOB = "ada@example.com", "bob@example.com"


@pytest.fixture
async def receiver() -> AsyncIterator[SmtpReceiver]:
    async with smtp_receiver() as running:
        yield running


def mail(*recipients: str, **changes: Any) -> Envelope:
    return envelope("email", {"to": list(recipients or (ADA,))}, **changes)


async def send(port: int, message: Envelope, **changes: Any) -> Outcome:
    values = {"smtp_host": "127.0.0.1", "smtp_port": port, "channel_timeout": 1.0, **changes}
    return await EmailChannel(settings(**values)).prepare(message)()


async def test_a_mail_has_text_and_html_and_a_stable_message_id(receiver: SmtpReceiver) -> None:
    outcome = await send(receiver.port, mail(ADA, BOB))
    assert (outcome.result, outcome.status_code, outcome.error) == (DELIVERED, 250, None)
    (received,) = receiver.mails
    message = received.message
    assert (received.sender, received.recipients) == ("notifier@sender.test", [ADA, BOB])
    assert message["From"] == "Notifier <notifier@sender.test>"
    assert message["To"] == f"{ADA}, {BOB}"
    assert message["Subject"] == "Water the plants"
    assert message["Message-ID"] == f"<{MESSAGE_ID}@sender.test>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime is not None
    text, rich = message.iter_parts()
    assert (text.get_content_type(), rich.get_content_type()) == ("text/plain", "text/html")
    assert text.get_content() == "Hi Ada.\n"
    assert "<p>Hi Ada.</p>" in rich.get_content()


@pytest.mark.parametrize(
    "body",
    [
        "plain",
        "Grüße 🌱 漢字",
        ".\n..\n.hidden\n\n.",
        "lone\rreturns\r\n.\r\nand more",
        "x" * 5000,
        "From here\n" * 300,
        "\r\n.\r\nMAIL FROM:<evil@example.com>\r\n",
    ],
)
async def test_any_body_arrives_as_it_is(receiver: SmtpReceiver, body: str) -> None:
    assert (await send(receiver.port, mail(body=body))).result is DELIVERED
    (received,) = receiver.mails
    text = next(received.message.iter_parts()).get_content().replace("\r\n", "\n")
    assert text.rstrip("\n") == body.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    assert received.raw.isascii()


@pytest.mark.parametrize("sender", ["a@b\r\nBcc: x@y", "A\nB <a@b>"])
async def test_a_sender_cannot_add_headers(receiver: SmtpReceiver, sender: str) -> None:
    outcome = await send(receiver.port, mail(), smtp_from=sender)
    assert (outcome.result, receiver.mails) == (FAILED, [])


async def test_names_and_addresses_beyond_ascii_arrive(receiver: SmtpReceiver) -> None:
    sender = "Füße GmbH <notifier@sender.test>"
    outcome = await send(receiver.port, mail("jürgen@example.com"), smtp_from=sender)
    assert outcome.result is DELIVERED
    (received,) = receiver.mails
    assert received.recipients == ["jürgen@example.com"]
    assert "From: Füße GmbH <notifier@sender.test>\r\n".encode() in received.raw


async def test_all_recipients_refused_for_good_is_final(receiver: SmtpReceiver) -> None:
    receiver.replies = {ADA: "550 no such user", BOB: "553 nor this"}
    outcome = await send(receiver.port, mail(ADA, BOB))
    assert (outcome.result, outcome.reason, outcome.status_code) == (REJECTED, Reason.RECIPIENT_REJECTED, 550)
    assert outcome.error == f"refused: {ADA} (550 no such user); {BOB} (553 nor this)"


async def test_some_recipients_refused_for_good_is_delivered_and_says_who(receiver: SmtpReceiver) -> None:
    receiver.replies = {ADA: "550 no such user"}
    outcome = await send(receiver.port, mail(ADA, BOB))
    assert (outcome.result, outcome.reason) == (DELIVERED, Reason.PARTLY_REFUSED)
    assert outcome.error == f"not accepted for 1 of 2: {ADA} (550 no such user)"
    assert receiver.mails[0].recipients == [BOB]


async def test_while_one_is_refused_for_the_moment_nobody_gets_the_mail_and_then_all_do(
    receiver: SmtpReceiver,
) -> None:
    receiver.replies = {ADA: "450 greylisted"}
    for attempt in range(1, PATIENT_TRIES + 1):
        outcome = await send(receiver.port, mail(ADA, BOB, attempt=attempt))
        assert (outcome.result, outcome.ours, receiver.mails) == (FAILED, False, [])
        assert outcome.error == f"sent to nobody yet: {ADA} (450 greylisted)"
    receiver.replies = {}
    outcome = await send(receiver.port, mail(ADA, BOB, attempt=PATIENT_TRIES))
    assert (outcome.result, outcome.reason) == (DELIVERED, None)
    assert [one.recipients for one in receiver.mails] == [[ADA, BOB]]


@pytest.mark.parametrize("changes", [{"attempt": PATIENT_TRIES + 1}, {"attempt": 1, "last": True}], ids=str)
async def test_one_that_is_refused_again_and_again_keeps_the_mail_from_nobody_else(
    receiver: SmtpReceiver, changes: dict[str, Any]
) -> None:
    receiver.replies = {ADA: "450 busy"}
    outcome = await send(receiver.port, mail(ADA, BOB, **changes))
    assert (outcome.result, outcome.reason) == (DELIVERED, Reason.PARTLY_REFUSED)
    assert outcome.error == f"not accepted for 1 of 2: {ADA} (450 busy)"
    assert [one.recipients for one in receiver.mails] == [[BOB]]


@pytest.mark.parametrize(
    ("replies", "ours"),
    [
        ({"EHLO": "drop"}, True),
        ({"EHLO": "hang"}, True),
        ({"MAIL": "550 sender not welcome"}, True),
        ({ADA: "450 busy"}, False),
        ({ADA: "hang"}, False),
        ({"DATA": "451 later"}, False),
    ],
)
async def test_until_the_sender_is_accepted_no_destination_is_at_fault(
    receiver: SmtpReceiver, replies: dict[str, str], ours: bool
) -> None:
    receiver.replies = replies
    assert (await send(receiver.port, mail())).ours is ours


@pytest.mark.parametrize(
    ("replies", "result", "code"),
    [
        ({ADA: "450 busy"}, FAILED, 450),
        ({ADA: "421 closing"}, FAILED, 421),
        ({"MAIL": "451 later"}, FAILED, 451),
        ({"MAIL": "550 sender not welcome"}, FAILED, 550),
        ({"EHLO": "421 closing"}, FAILED, None),
        ({"DATA": "451 later"}, FAILED, 451),
        ({"DATA": "421 closing"}, FAILED, 421),
        ({"DATA": "554 looks like spam"}, REJECTED, 554),
        ({"EHLO": "drop"}, FAILED, None),
        ({"MAIL": "drop"}, FAILED, None),
        ({ADA: "drop"}, FAILED, None),
        ({"EHLO": "hang"}, FAILED, None),
        ({"MAIL": "hang"}, FAILED, None),
        ({ADA: "hang"}, FAILED, None),
        ({"DATA": "drop"}, CONNECTION_LOST, None),
        ({"DATA": "hang"}, TIMEOUT, None),
    ],
)
async def test_each_stage_is_judged(
    receiver: SmtpReceiver, replies: dict[str, str], result: AttemptOutcome, code: int | None
) -> None:
    receiver.replies = replies
    outcome = await send(receiver.port, mail())
    assert outcome.result is result
    assert code in (None, outcome.status_code)


@pytest.mark.parametrize(
    ("script", "result"),
    [
        ([b"554 no service here\r\n"], FAILED),
        ([b"nonsense\r\n"], FAILED),
        ([b"220 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"554 no DATA\r\n"], REJECTED),
        ([b"220 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b""], FAILED),
        ([b"220 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b""], CONNECTION_LOST),
        (
            [b"220 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"?\r\n"],
            CONNECTION_LOST,
        ),
    ],
)
async def test_odd_servers_are_judged(script: list[bytes], result: AttemptOutcome) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, line in enumerate(script):
            if number == 5:
                await reader.readuntil(b"\r\n.\r\n")
            elif number:
                await reader.readline()
            writer.write(line)

    async with raw_server(talk) as port:
        assert (await send(port, mail())).result is result


async def test_a_goodbye_that_is_not_answered_changes_nothing() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for line in (b"220 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            writer.write(line)
            await reader.readline()
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 ok\r\n")
        await asyncio.Event().wait()

    async with raw_server(talk) as port:
        assert (await send(port, mail())).result is DELIVERED


async def test_a_refused_connection_is_a_definite_failure() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        assert (await send(unheard.getsockname()[1], mail())).result is FAILED


async def test_without_a_mail_server_the_error_names_the_setting() -> None:
    outcome = await EmailChannel(settings(smtp_host=None)).prepare(mail())()
    assert (outcome.result, "NOTIFIER_SMTP_HOST" in (outcome.error or "")) == (FAILED, True)
    assert outcome.ours


async def test_a_login_is_used_and_a_wrong_one_is_a_failure() -> None:
    async with smtp_receiver(password="right") as receiver:
        good = await send(receiver.port, mail(), smtp_username="me", smtp_password="right")
        bad = await send(receiver.port, mail(), smtp_username="me", smtp_password="wrong")
    assert (good.result, bad.result, bad.status_code) == (DELIVERED, FAILED, 535)


@pytest.mark.parametrize("mode", ["tls", "starttls"])
async def test_a_certificate_that_nobody_trusts_is_a_definite_failure(mode: str, tmp_path: Path) -> None:
    context = server_tls(tmp_path)
    wrapped = {"tls": context} if mode == "tls" else {"starttls": context}
    async with smtp_receiver(**wrapped) as receiver:
        outcome = await send(receiver.port, mail(), smtp_tls=mode)
    assert (outcome.result, receiver.mails) == (FAILED, [])


@pytest.mark.parametrize("mode", ["tls", "starttls"])
async def test_mail_goes_over_tls(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = server_tls(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    wrapped = {"tls": context} if mode == "tls" else {"starttls": context}
    async with smtp_receiver(**wrapped) as receiver:
        outcome = await send(receiver.port, mail(), smtp_tls=mode)
    assert (outcome.result, len(receiver.mails)) == (DELIVERED, 1)


async def test_starttls_is_not_given_up_where_the_server_lacks_it(receiver: SmtpReceiver) -> None:
    outcome = await send(receiver.port, mail(), smtp_tls="starttls")
    assert (outcome.result, receiver.mails) == (FAILED, [])
