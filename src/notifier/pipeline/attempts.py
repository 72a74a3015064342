"""One attempt of a claimed delivery: compose, send, and judge what follows."""

import asyncio
import random
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, Protocol

import structlog

from notifier import rendering
from notifier.clock import monotonic
from notifier.domain.delivery import AttemptOutcome, Envelope, Outcome, Reason, Sending, Trigger
from notifier.domain.retry import Verdict, decide, final, is_last
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


class Sender(Protocol):
    """What sends: a channel, or what stands in for it."""

    def receiver(self, config: Mapping[str, Any]) -> str:
        """Name the server behind a destination: what is slow for one of its destinations is so for all."""

    def prepare(self, envelope: Envelope) -> Sending:
        """Do what can be done before a message leaves; return what tries once to send it."""


class Channels(Protocol):
    """The channels by kind."""

    def get(self, kind: str) -> Sender:
        """Return what sends to destinations of `kind`."""


class Letter(NamedTuple):
    """A message that is ready to leave, and the server that it goes to."""

    receiver: Hashable
    send: Sending


@dataclass(frozen=True, slots=True)
class Attempts:
    """What every attempt needs; `waits` between tries are for destinations that have none of their own."""

    channels: Channels
    composer: Composer
    waits: tuple[timedelta, ...]
    limits: Limits

    def prepare(self, claims: Sequence[Claim]) -> list[Letter | Outcome]:
        """Return the messages, ready to leave; what cannot be rendered or sent is an outcome.

        Each step is done for all of them before the next one: so its code stays in the processor's caches,
        which makes a tenth of a worker's time.
        """
        composed = [self._compose(claim) for claim in claims]
        return [self._pack(claim, found) for claim, found in zip(claims, composed, strict=True)]

    def _compose(self, claim: Claim) -> Envelope | Outcome:
        try:
            return self.composer.envelope(claim, last=self._is_last(claim))
        except rendering.TemplateSlow as error:
            # it was fast enough when it was saved
            return Outcome(AttemptOutcome.FAILED, error=str(error), ours=True)
        except rendering.TemplateFailed as error:
            return Outcome.rejected(Reason.TEMPLATE_ERROR, str(error))
        except DecryptionFailed as error:
            return Outcome.rejected(Reason.DECRYPTION_ERROR, str(error))
        except Exception as error:
            return _unready(claim, error)

    def _pack(self, claim: Claim, composed: Envelope | Outcome) -> Letter | Outcome:
        if isinstance(composed, Outcome):
            return composed
        try:
            kind = claim.destination.kind
            channel = self.channels.get(kind)
            return Letter((kind, channel.receiver(composed.config)), channel.prepare(composed))
        except Exception as error:
            return _unready(claim, error)

    def begin(self, claim: Claim, letter: Letter) -> asyncio.Future[Outcome]:
        """Begin to send; what is returned is done with the outcome, or with the error of a bug."""
        try:
            return asyncio.ensure_future(letter.send())
        except Exception as error:
            unsent: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            unsent.set_result(_unready(claim, error))
            return unsent

    def outcome(self, claim: Claim, sending: asyncio.Future[Outcome], *, late: bool) -> Outcome:
        """Return the outcome of what has been sent; of what was ended because it was `late`, nobody knows.

        Raises CancelledError if somebody else ended it.
        """
        try:
            return sending.result()
        except asyncio.CancelledError as cancelled:
            if not late:
                raise
            error: BaseException = TimeoutError().with_traceback(cancelled.__traceback__)
        except Exception as bug:
            error = bug
        # a bug, so nobody knows how far it got
        log.error("channel.failed", exc_info=error, delivery_id=str(claim.id), kind=claim.destination.kind)
        return Outcome(AttemptOutcome.UNKNOWN, error=f"internal error: {type(error).__name__}")

    def judge(self, claim: Claim, outcome: Outcome, started: float) -> Finished:
        """Decide what follows an attempt that is over now; a test message gets one try."""
        elapsed = monotonic() - started
        return Finished(
            claim.project_id,
            claim.id,
            claim.destination_id,
            claim.lease_token,
            claim.attempts_made,
            outcome,
            final(outcome) or self._decide(claim, outcome, elapsed),
            int(elapsed * 1000),
        )

    def _decide(self, claim: Claim, outcome: Outcome, elapsed: float) -> Verdict:
        return decide(
            outcome,
            attempts_made=claim.attempts_made,
            now=claim.claimed_at + timedelta(seconds=elapsed),
            expires_at=claim.expires_at,
            waits=self._waits(claim),
            jitter=random.uniform(-1, 1),  # noqa: S311 - spreads load, hides nothing
            hold_unknown=claim.destination.on_unknown == "hold",
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
        if claim.destination.retry_schedule is None:
            return self.waits
        return tuple(timedelta(seconds=wait) for wait in claim.destination.retry_schedule)


def _unready(claim: Claim, error: Exception) -> Outcome:
    """Return the outcome of a bug, but one before anything has left: a newer version may do better."""
    log.error("envelope.failed", exc_info=error, delivery_id=str(claim.id), kind=claim.destination.kind)
    return Outcome(AttemptOutcome.FAILED, error=f"internal error: {type(error).__name__}", ours=True)
