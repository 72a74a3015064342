"""Runs a worker that one message kills: `python -m tests.faults.deadly "the title"`.

As if by `kill -9`, as soon as a message with that title is to be sent.
"""

import os
import signal
import sys
from collections.abc import Awaitable, Callable

from notifier.__main__ import main
from notifier.channels.webhook import WebhookChannel
from notifier.domain.delivery import Envelope, Outcome
from tests.faults.pace import keep_pace

Send = Callable[[], Awaitable[Outcome]]
Prepare = Callable[[WebhookChannel, Envelope], Send]


def _deadly(title: str, prepare: Prepare) -> Prepare:
    """Return what prepares messages, of which one kills whoever sends it."""

    def prepare_or_kill(channel: WebhookChannel, envelope: Envelope) -> Send:
        return _die if envelope.title == title else prepare(channel, envelope)

    return prepare_or_kill


def _die() -> Awaitable[Outcome]:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("dead")


def run() -> None:
    """Arm the message, then become a worker."""
    (title,) = sys.argv[1:]
    keep_pace()
    WebhookChannel.prepare = _deadly(title, WebhookChannel.prepare)  # type: ignore[method-assign, assignment]
    sys.argv = ["notifier", "worker"]
    main()


if __name__ == "__main__":
    run()
