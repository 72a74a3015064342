"""One attempt of a claimed delivery: compose, send, and judge what follows."""

import random
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import structlog

from notifier import failpoints, rendering
from notifier.clock import monotonic
from notifier.deadlines import Deadlines
from notifier.domain.delivery import AttemptOutcome, Envelope, Outcome, Reason, Trigger
from notifier.domain.retry import decide, is_last
from notifier.pipeline.composing import Composer
from notifier.storage.claims import Claim
from notifier.storage.encryption import DecryptionFailed
from notifier.storage.outcomes import Finished

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: how long a claim holds, how long a try may take (less), and how long to try to record it."""

    lease: float
    longest_send: float
    recording: float

    @property
    def too_old_to_send(self) -> float:
        """The age from which on a claim could end before a send that begins now."""
        return self.lease - self.longest_send


class Overslept(Exception):
    """The claim is so old that its lease could end before a send that begins now."""


class Sender(Protocol):
    """What sends: a channel, or what stands in for it."""

    def receiver(self, config: Mapping[str, Any]) -> str:
        """Name the server behind a destination: what is slow for one of its destinations is so for all."""

    async def send(self, envelope: Envelope) -> Outcome:
        """Try once."""


class Channels(Protocol):
    """The channels by kind."""

    def get(self, kind: str) -> Sender:
        """Return what sends to destinations of `kind`."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """What every attempt needs; `waits` between tries are for destinations that have none of their own."""

    channels: Channels
    composer: Composer
    waits: tuple[timedelta, ...]
    limits: Limits
    deadlines: Deadlines

    def receiver(self, claim: Claim) -> Hashable:
        """Name the server that a message goes to; what cannot be told is not sent to anybody either."""
        try:
            return claim.kind, self.channels.get(claim.kind).receiver(self.composer.config(claim))
        except Exception:
            return claim.kind, None

    async def make(self, claim: Claim, started: float) -> Finished:
        """Try once; return how it ended. `started` is when it was claimed (monotonic seconds).

        Raises Overslept if nothing was sent and the claim is to be given back.
        """
        outcome = await self._try(claim, started)
        failpoints.reach(failpoints.BEFORE_OUTCOME)
        return self._judge(claim, outcome, monotonic() - started)

    async def _try(self, claim: Claim, started: float) -> Outcome:
        """Render and send; what cannot be rendered or sent is an outcome too."""
        try:
            channel = self.channels.get(claim.kind)
            envelope = self.composer.envelope(claim, last=self._is_last(claim))
        except rendering.TemplateSlow as error:
            # it was fast enough when it was saved
            return Outcome(AttemptOutcome.FAILED, error=str(error), ours=True)
        except rendering.TemplateFailed as error:
            return Outcome.rejected(Reason.TEMPLATE_ERROR, str(error))
        except DecryptionFailed as error:
            return Outcome.rejected(Reason.DECRYPTION_ERROR, str(error))
        except Exception as error:
            # a bug, but nothing has left; a newer version may do better
            log.exception("envelope.failed", delivery_id=str(claim.id), kind=claim.kind)
            return Outcome(AttemptOutcome.FAILED, error=f"internal error: {type(error).__name__}", ours=True)
        return await self._send(channel, envelope, started)

    async def _send(self, channel: Sender, envelope: Envelope, started: float) -> Outcome:
        """Send, unless this process slept for so long that its lease could end first.

        Channels keep their own time-outs; this one is for a channel that does not, so that its lease holds.
        """
        age = monotonic() - started
        if age > self.limits.too_old_to_send:
            raise Overslept
        try:
            with self.deadlines.within(self.limits.lease - age):
                return await channel.send(envelope)
        except Exception as error:
            # a bug, so nobody knows how far it got
            log.exception("channel.failed", delivery_id=str(envelope.delivery_id), kind=envelope.kind)
            return Outcome(AttemptOutcome.UNKNOWN, error=f"internal error: {type(error).__name__}")

    def _judge(self, claim: Claim, outcome: Outcome, elapsed: float) -> Finished:
        """Decide what follows; a test message gets one try."""
        verdict = decide(
            outcome,
            attempts_made=claim.attempts_made,
            now=claim.claimed_at + timedelta(seconds=elapsed),
            expires_at=claim.expires_at,
            waits=self._waits(claim),
            jitter=random.uniform(-1, 1),  # noqa: S311 - spreads load, hides nothing
            hold_unknown=claim.on_unknown == "hold",
        )
        return Finished(
            claim.project_id,
            claim.id,
            claim.destination_id,
            claim.lease_token,
            claim.attempts_made,
            outcome,
            verdict,
            int(elapsed * 1000),
        )

    def _is_last(self, claim: Claim) -> bool:
        """Say whether this may be the last try: by its end the next slot is too near, or no wait is left."""
        ends_by = claim.claimed_at + timedelta(seconds=self.limits.lease)
        return is_last(
            attempts_made=claim.attempts_made,
            ends_by=ends_by,
            expires_at=claim.expires_at,
            waits=self._waits(claim),
        )

    def _waits(self, claim: Claim) -> tuple[timedelta, ...]:
        """Return the waits between tries: the destination's own, else the service's; a test has none."""
        if claim.trigger == Trigger.TEST:
            return ()
        if claim.retry_schedule is None:
            return self.waits
        return tuple(timedelta(seconds=wait) for wait in claim.retry_schedule)
