"""Where the messages of test projects go: nowhere; they are kept for whoever moves the clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from notifier.domain.delivery import Envelope, Outcome, Sending


@dataclass(slots=True)
class Capture:
    """Stands in for every channel; keeps what it was given."""

    messages: list[Envelope] = field(default_factory=list)

    def get(self, kind: str) -> "Capture":  # noqa: ARG002 - whatever the kind, nothing leaves
        """Return the channel for destinations of `kind`: this one."""
        return self

    def receiver(self, config: Mapping[str, Any]) -> str:  # noqa: ARG002
        """Name whoever keeps the messages."""
        return "capture"

    def prepare(self, envelope: Envelope) -> Sending:
        """Nothing can be done beforehand."""
        return partial(self._send, envelope)

    async def _send(self, envelope: Envelope) -> Outcome:
        """Keep the message; this cannot fail."""
        self.messages.append(envelope)
        return Outcome.delivered()
