"""Where the messages of test projects go: nowhere; they are kept for whoever moves the clock."""

from dataclasses import dataclass, field

from notifier.domain.delivery import Envelope, Outcome


@dataclass(slots=True)
class Capture:
    """Stands in for every channel; keeps what it was given."""

    messages: list[Envelope] = field(default_factory=list)

    def get(self, kind: str) -> "Capture":  # noqa: ARG002 - whatever the kind, nothing leaves
        """Return the channel for destinations of `kind`: this one."""
        return self

    async def send(self, envelope: Envelope) -> Outcome:
        """Keep the message; this cannot fail."""
        self.messages.append(envelope)
        return Outcome.delivered()
