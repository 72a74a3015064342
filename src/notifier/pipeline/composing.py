"""What a channel gets: the message of a claimed delivery, rendered, with what is hidden from users."""

import json
from dataclasses import dataclass
from typing import Any

from notifier import rendering
from notifier.domain import schedule
from notifier.domain.delivery import Envelope
from notifier.pipeline import events
from notifier.storage.claims import Claim
from notifier.storage.encryption import Cipher

TEST_TITLE = "Test message from notifier"
TEST_BODY = "This is a test of the destination “{name}”. If you can read it, messages will arrive."


@dataclass(frozen=True, slots=True)
class Composer:
    """Composes envelopes; decrypts with `cipher`."""

    cipher: Cipher

    def envelope(self, claim: Claim, *, last: bool) -> Envelope:
        """Return the envelope of one try. Raises TemplateFailed, TemplateSlow or DecryptionFailed."""
        title, body, data = _words(claim)
        return Envelope(
            delivery_id=claim.id,
            notification_id=claim.notification_id,
            external_id=claim.external_id,
            message_id=claim.message_id,
            attempt=claim.attempts_made,
            sent_at=claim.claimed_at,
            scheduled_for=claim.scheduled_for,
            late_by=claim.first_attempt_at - claim.scheduled_for,
            title=title,
            body=body,
            data=data,
            kind=claim.destination.kind,
            config=self._config(claim),
            secrets=tuple(self.cipher.decrypt(secret) for secret in claim.destination.secrets),
            event=claim.event,
            last=last,
        )

    def _config(self, claim: Claim) -> dict[str, Any]:
        """Return the destination's config with what is hidden from users."""
        if claim.destination.sealed_config is None:
            return dict(claim.destination.config)
        config: dict[str, Any] = json.loads(self.cipher.decrypt(claim.destination.sealed_config))
        return config


def _words(claim: Claim) -> tuple[str, str, dict[str, Any]]:
    """Return title, body and data of the message, from the revision that the delivery pins."""
    if claim.event is not None:
        return *events.words(claim.event, claim.newest_title), {}
    if claim.notification_id is None:
        return TEST_TITLE, TEST_BODY.format(name=claim.destination.name), {}
    names = rendering.context(
        claim.data,
        slot=schedule.local(schedule.parse_text(claim.schedule), claim.scheduled_for),
        late_by=claim.first_attempt_at - claim.scheduled_for,
        notification_id=claim.notification_id,
        external_id=claim.external_id,
    )
    title = rendering.render_title(claim.title, names)
    return title, rendering.render(claim.body, names), claim.data
