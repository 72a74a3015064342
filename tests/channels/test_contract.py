"""What every channel must do. A new kind needs one row in `HARNESSES`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from structlog.testing import capture_logs

from notifier.channels.base import ERROR_LIMIT, Channel
from notifier.channels.registry import Registry, build
from notifier.domain.delivery import AMBIGUOUS, AttemptOutcome, Envelope
from notifier.domain.errors import InvalidInput
from tests.channels.samples import MESSAGE_ID, envelope, settings
from tests.receivers import Answer, http_receiver, smtp_receiver

LIMIT_SECONDS = 1.0


@dataclass
class Harness:
    """A running receiver of one kind, and how to make it refuse or hang (None: it cannot)."""

    config: dict[str, Any]
    received_ids: Callable[[], list[str]]
    settings: dict[str, Any]
    refuse: Callable[[], None] | None = None
    hang: Callable[[], None] | None = None


@asynccontextmanager
async def _log() -> AsyncIterator[Harness]:
    with capture_logs() as lines:
        yield Harness({}, lambda: [line["message_id"] for line in lines], {})


@asynccontextmanager
async def _webhook() -> AsyncIterator[Harness]:
    async with http_receiver() as http:
        yield Harness(
            config={"url": http.url + "/"},
            received_ids=lambda: [request.headers["webhook-id"] for request in http.requests],
            settings={},
            refuse=lambda: setattr(http, "always", Answer(500, body=b"x" * 100_000)),
            hang=lambda: setattr(http, "always", Answer(hang=True)),
        )


@asynccontextmanager
async def _email() -> AsyncIterator[Harness]:
    async with smtp_receiver() as smtp:
        yield Harness(
            config={"to": ["ada@example.com"]},
            received_ids=lambda: [mail.message["Message-ID"][1:].partition("@")[0] for mail in smtp.mails],
            settings={"smtp_host": smtp.host, "smtp_port": smtp.port},
            refuse=lambda: smtp.replies.update(MAIL="451 " + "x" * 400),
            hang=lambda: smtp.replies.update(DATA="hang"),
        )


HARNESSES: dict[str, Callable[[], AbstractAsyncContextManager[Harness]]] = {
    "log": _log,
    "webhook": _webhook,
    "email": _email,
}
REMOTE = ["webhook", "email"]
"""Kinds whose receiver can refuse and hang."""


@dataclass
class Case:
    """One channel beside its receiver."""

    channel: Channel
    harness: Harness
    message: Envelope


@pytest.fixture
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    """The channel and receiver of the kind that the test is run for."""
    kind = request.param
    async with HARNESSES[kind]() as harness:
        limits = {"webhook_timeout": LIMIT_SECONDS, "channel_timeout": LIMIT_SECONDS}
        registry = build(settings(**limits, **harness.settings))
        config = registry.validate_config(kind, harness.config)
        secrets = ("whsec_" + "A" * 32,) if registry.signs(kind) else ()
        yield Case(registry.get(kind), harness, envelope(kind, config, secrets=secrets))
        await registry.aclose()


every_kind = pytest.mark.parametrize("case", HARNESSES, indirect=True)
every_remote_kind = pytest.mark.parametrize("case", REMOTE, indirect=True)


@pytest.fixture
def registry() -> Registry:
    return build(settings())


def test_every_kind_has_its_harness(registry: Registry) -> None:
    assert set(HARNESSES) == set(registry.kinds)


@every_kind
async def test_a_message_that_is_accepted_is_delivered(case: Case) -> None:
    outcome = await case.channel.prepare(case.message)()
    assert (outcome.result, outcome.error) == (AttemptOutcome.DELIVERED, None)
    assert case.harness.received_ids() == [MESSAGE_ID]


@every_kind
async def test_every_attempt_carries_the_same_message_id(case: Case) -> None:
    for attempt in (1, 2, 3):
        await case.channel.prepare(case.message._replace(attempt=attempt))()
    assert case.harness.received_ids() == [MESSAGE_ID] * 3


@every_kind
async def test_many_messages_go_at_the_same_time(case: Case) -> None:
    outcomes = await asyncio.gather(*[case.channel.prepare(case.message)() for _ in range(20)])
    assert {outcome.result for outcome in outcomes} == {AttemptOutcome.DELIVERED}
    assert len(case.harness.received_ids()) == 20


@every_kind
async def test_odd_content_is_sent_and_never_raises(case: Case) -> None:
    odd = case.message._replace(
        title="Ünï \N{SEEDLING}\x00\r\nX: y",
        body="\r\n.\r\n\x00\ud800" + "z" * 200_000,
        data={},
        notification_id=None,
        external_id=None,
    )
    assert (await case.channel.prepare(odd)()).result is AttemptOutcome.DELIVERED


@every_remote_kind
async def test_a_refusal_is_a_definite_failure_with_a_short_text(case: Case) -> None:
    assert case.harness.refuse
    case.harness.refuse()
    outcome = await case.channel.prepare(case.message)()
    assert outcome.result is AttemptOutcome.FAILED
    assert outcome.status_code
    assert 0 < len(outcome.error or "") <= ERROR_LIMIT


@every_remote_kind
async def test_a_receiver_that_hangs_ends_in_an_ambiguous_time_out_within_the_limit(case: Case) -> None:
    assert case.harness.hang
    case.harness.hang()
    async with asyncio.timeout(LIMIT_SECONDS * 2):
        outcome = await case.channel.prepare(case.message)()
    assert outcome.result is AttemptOutcome.TIMEOUT
    assert outcome.result in AMBIGUOUS


@every_kind
async def test_closing_twice_is_fine(case: Case) -> None:
    await case.channel.prepare(case.message)()
    await case.channel.aclose()
    await case.channel.aclose()


@every_kind
async def test_an_unknown_field_of_config_is_refused_by_its_name(case: Case, registry: Registry) -> None:
    kind = case.channel.kind
    with pytest.raises(InvalidInput) as refusal:
        registry.validate_config(kind, {**case.harness.config, "surprise": 1})
    assert [problem.pointer for problem in refusal.value.problems] == ["/config/surprise"]


@every_kind
async def test_the_example_of_an_address_is_read_as_one(case: Case, registry: Registry) -> None:
    kind, config = registry.parse_address(case.channel.address_form)
    assert kind == case.channel.kind
    assert registry.validate_config(kind, config) == config
