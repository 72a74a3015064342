"""What became of a message, as the terminal tells it."""

from typing import Any

import pytest

from notifier.embedded import news
from notifier.embedded.news import MOST_A_SECOND, DeliveryNews

ATTEMPT: dict[str, Any] = {"event": "delivery.attempted", "delivery_id": "d", "notification_id": "n"}


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        ({"status": "delivered", "kind": "log", "title": "Water"}, 'delivered "Water" -> log'),
        ({"status": "delivered", "kind": "webhook"}, "delivered notification n -> webhook"),
        ({"status": "delivered", "kind": "log", "notification_id": None}, "delivered test message -> log"),
        (
            {"status": "retrying", "kind": "webhook", "error": "HTTP 500", "retry_in_seconds": 5.2},
            "retrying notification n -> webhook (HTTP 500; next attempt in 5 s)",
        ),
        (
            {"status": "failed", "kind": "email", "error": None, "reason": "retries_exhausted"},
            "failed notification n -> email (retries_exhausted)",
        ),
        (
            {"status": "delivered", "kind": "log", "title": "a\x1b[2J\x9b\nb"},
            'delivered "a?[2J??b" -> log',
        ),
        (
            {"status": "delivered", "kind": "webhook", "title": "Water", "destination_name": "ops"},
            'delivered "Water" -> webhook ops',
        ),
        (
            {"status": "delivered", "kind": "log", "title": "Water", "destination_name": "log"},
            'delivered "Water" -> log',
        ),
        (
            {"status": "delivered", "kind": "log", "external_id": "plants"},
            "delivered notification plants -> log",
        ),
        (
            {"status": "delivered", "kind": "log", "title": "Water", "trigger": "schedule"},
            'delivered "Water" -> log',
        ),
        (
            {"status": "delivered", "kind": "log", "title": "Water", "trigger": "replay"},
            'delivered "Water" -> log (replay)',
        ),
        (
            {
                "status": "failed",
                "kind": "webhook",
                "title": "Water",
                "trigger": "manual",
                "error": "HTTP 410",
            },
            'failed "Water" -> webhook (manual; HTTP 410)',
        ),
        (
            {"status": "delivered", "kind": "log", "notification_id": None, "trigger": "test"},
            "delivered test message -> log",
        ),
        (
            {"status": "delivered", "kind": "log", "title": "Water", "trigger": "event"},
            'delivered "Water" -> log (event)',
        ),
        (
            {"status": "delivered", "kind": "log", "notification_id": None, "trigger": "event"},
            "delivered message -> log (event)",
        ),
        ({"status": "canceled", "kind": "log"}, None),
        ({"status": "delivered", "kind": "log", "rehearsal": True}, None),
        ({"event": "sweep.done"}, None),
    ],
)
def test_an_attempt_is_told_in_one_line(event: dict, shown: str | None) -> None:
    assert DeliveryNews().line({**ATTEMPT, **event}) == shown


def test_a_message_of_the_log_is_told_by_its_rendered_title() -> None:
    told = DeliveryNews()
    assert told.line({"event": "message.logged", "delivery_id": "d", "title": "Water the ficus"}) is None
    attempt = {**ATTEMPT, "status": "delivered", "kind": "log", "title": "Water the {{ plant }}"}
    assert told.line(attempt) == 'delivered "Water the ficus" -> log'


def test_a_rush_is_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(news.clock, "monotonic", lambda: now[0])
    told = DeliveryNews()
    attempt = {**ATTEMPT, "kind": "log", "status": "delivered"}
    lines = [told.line(attempt) for _ in range(MOST_A_SECOND + 30)]
    failed = told.line({**attempt, "status": "failed"})
    assert [line is not None for line in lines] == [True] * MOST_A_SECOND + [False] * 30
    assert (failed, told.summary()) == (None, None)
    now[0] += 1
    assert told.summary() == "and more: 30 delivered, 1 failed"
    assert told.line(attempt) is not None
    now[0] += 1
    assert told.summary() is None
