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
        ({"status": "canceled", "kind": "log"}, None),
        ({"event": "sweep.done"}, None),
    ],
)
def test_an_attempt_is_told_in_one_line(event: dict, shown: str | None) -> None:
    assert DeliveryNews().line({**ATTEMPT, **event}) == shown


def test_a_message_of_the_log_is_told_by_its_title() -> None:
    told = DeliveryNews()
    assert told.line({"event": "message.logged", "delivery_id": "d", "title": "Water"}) is None
    assert told.line({**ATTEMPT, "status": "delivered", "kind": "log"}) == 'delivered "Water" -> log'


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
