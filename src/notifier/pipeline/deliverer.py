"""One delivery: claim, send, record (engine.md 3). The steps are numbered as there.

No transaction is open while a message is being sent. A process that dies in between leaves a lease
behind, which the rescuer breaks.
"""

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

import structlog
from sqlalchemy import Row

from notifier import failpoints, rendering
from notifier.clock import monotonic
from notifier.deadlines import Deadlines
from notifier.domain import schedule
from notifier.domain.delivery import AttemptOutcome, Envelope, Outcome, Reason, Trigger
from notifier.domain.retry import Verdict, decide, is_last
from notifier.pipeline import events
from notifier.pipeline.bookkeeping import Bookkeeping
from notifier.pipeline.bulkheads import Bulkheads, Crowded
from notifier.storage.encryption import Cipher, DecryptionFailed
from notifier.storage.outcomes import Finished

log = structlog.get_logger(__name__)

CROWDED_WAIT = 30
"""Seconds until a delivery is tried whose receiver is so slow that its places stay taken."""

MANY = 1000
TEST_TITLE = "Test message from notifier"
TEST_BODY = "This is a test of the destination “{name}”. If you can read it, messages will arrive."


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


class _Overslept(Exception):
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
class Deliverer:
    """What every delivery needs."""

    books: Bookkeeping
    channels: Channels
    cipher: Cipher
    waits: tuple[timedelta, ...]
    limits: Limits
    projects: Bulkheads = field(default_factory=lambda: Bulkheads(MANY, 2 * MANY))
    receivers: Bulkheads = field(default_factory=lambda: Bulkheads(MANY, 2 * MANY))
    deadlines: Deadlines = field(default_factory=Deadlines)
    count: Callable[[str, str, str, str | None, float], None] = lambda *_: None
    """Told of each attempt: kind, outcome, new status, reason, seconds. A rehearsal's are counted nowhere."""

    async def deliver(self, project_id: UUID, delivery_id: UUID) -> None:
        """Try one delivery once. Does nothing if it is not due, is another worker's, or has ended."""
        failpoints.reach(failpoints.AFTER_PICK_UP)
        try:
            async with self.projects.place(project_id):
                await self._deliver(project_id, delivery_id)
        except (Crowded, _Overslept):
            # nothing has been written, or it was taken back: the rescuer rings again
            log.debug("delivery.crowded", delivery_id=str(delivery_id), project_id=str(project_id))

    async def _deliver(self, project_id: UUID, delivery_id: UUID) -> None:
        # 1. claim: the row says `sending` before anything leaves this process
        started, claim = await self.books.claim(project_id, delivery_id)
        if claim is None:
            return
        failpoints.reach(failpoints.AFTER_CLAIM)
        # 2. send
        try:
            outcome = await self._try(claim, started)
        except (Crowded, _Overslept) as error:
            log.info("claim.given_back", delivery_id=str(claim.id), why=type(error).__name__)
            await self.books.give_back(claim, CROWDED_WAIT if isinstance(error, Crowded) else 0)
            # its project has earned nothing by it
            raise
        failpoints.reach(failpoints.BEFORE_OUTCOME)
        # 3. record, behind the fence of the lease
        finished = self._judge(claim, outcome, monotonic() - started)
        await self._record(claim, finished)
        failpoints.reach(failpoints.AFTER_OUTCOME)

    async def _try(self, claim: Row[Any], started: float) -> Outcome:
        """Render and send; what cannot be rendered or sent is an outcome too.

        Raises Crowded or _Overslept if nothing was sent and the claim is to be given back.
        """
        try:
            channel, envelope = self.channels.get(claim.kind), self._envelope(claim)
            receiver = channel.receiver(envelope.config)
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
        async with self.receivers.place((claim.kind, receiver)):
            return await self._send(channel, envelope, started)

    async def _send(self, channel: Sender, envelope: Envelope, started: float) -> Outcome:
        """Send, unless this process slept for so long that its lease could end first.

        Channels keep their own time-outs; this one is for a channel that does not, so that its lease holds.
        """
        age = monotonic() - started
        if age > self.limits.too_old_to_send:
            raise _Overslept
        try:
            with self.deadlines.within(self.limits.lease - age):
                return await channel.send(envelope)
        except Exception as error:
            # a bug, so nobody knows how far it got
            log.exception("channel.failed", delivery_id=str(envelope.delivery_id), kind=envelope.kind)
            return Outcome(AttemptOutcome.UNKNOWN, error=f"internal error: {type(error).__name__}")

    def _envelope(self, claim: Row[Any]) -> Envelope:
        title, body, data = self._words(claim)
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
            kind=claim.kind,
            config=self._config(claim),
            secrets=tuple(self.cipher.decrypt(secret) for secret in claim.secrets),
            event=claim.event,
            last=self._is_last(claim),
        )

    def _config(self, claim: Row[Any]) -> dict[str, Any]:
        """Return the destination's config with what is hidden from users."""
        if claim.sealed_config is None:
            return dict(claim.config)
        config: dict[str, Any] = json.loads(self.cipher.decrypt(claim.sealed_config))
        return config

    def _words(self, claim: Row[Any]) -> tuple[str, str, dict[str, Any]]:
        """Return title, body and data of the message, from the revision that the delivery pins."""
        if claim.event is not None:
            return *events.words(claim.event, claim.newest_title), {}
        if claim.notification_id is None:
            return TEST_TITLE, TEST_BODY.format(name=claim.destination_name), {}
        names = rendering.context(
            claim.data,
            slot=schedule.local(schedule.parse_text(claim.schedule), claim.scheduled_for),
            late_by=claim.first_attempt_at - claim.scheduled_for,
            notification_id=claim.notification_id,
            external_id=claim.external_id,
        )
        title = rendering.render_title(claim.title, names)
        return title, rendering.render(claim.body, names), claim.data

    def _judge(self, claim: Row[Any], outcome: Outcome, elapsed: float) -> Finished:
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

    def _is_last(self, claim: Row[Any]) -> bool:
        """Say whether this may be the last try: by its end the next slot is too near, or no wait is left."""
        ends_by = claim.claimed_at + timedelta(seconds=self.limits.lease)
        return is_last(
            attempts_made=claim.attempts_made,
            ends_by=ends_by,
            expires_at=claim.expires_at,
            waits=self._waits(claim),
        )

    def _waits(self, claim: Row[Any]) -> tuple[timedelta, ...]:
        """Return the waits between tries: the destination's own, else the service's; a test has none."""
        if claim.trigger == Trigger.TEST:
            return ()
        if claim.retry_schedule is None:
            return self.waits
        return tuple(timedelta(seconds=wait) for wait in claim.retry_schedule)

    async def _record(self, claim: Row[Any], finished: Finished) -> None:
        """Write the outcome, again and again while the database is away: it must not become a duplicate."""
        give_up_at = monotonic() + self.limits.recording
        pause = 0.1
        while True:
            try:
                recorded = await self.books.record(finished)
                break
            except Exception as error:
                if monotonic() > give_up_at:
                    log.exception("outcome.lost", **_line(claim, finished))
                    return
                log.warning("outcome.retry", delivery_id=str(claim.id), error=repr(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5)
        outcome, verdict = finished.outcome.result, finished.verdict
        self.count(claim.kind, outcome, verdict.status, verdict.reason, finished.duration_ms / 1000)
        log.info("delivery.attempted", recorded=recorded, **_line(claim, finished))


def _line(claim: Row[Any], finished: Finished) -> dict[str, Any]:
    """Return the fields of the one wide line that is logged for an attempt."""
    verdict: Verdict = finished.verdict
    return {
        "delivery_id": str(claim.id),
        "notification_id": claim.notification_id and str(claim.notification_id),
        "external_id": claim.external_id,
        # as it was written: the rendered words belong to the receiver alone
        "title": claim.title or claim.newest_title,
        "destination_id": str(claim.destination_id),
        "destination_name": claim.destination_name,
        "kind": claim.kind,
        "trigger": claim.trigger,
        "message_id": claim.message_id,
        "scheduled_for": claim.scheduled_for.isoformat(),
        "attempt": finished.number,
        "outcome": finished.outcome.result.value,
        "status_code": finished.outcome.status_code,
        "error": finished.outcome.error,
        "status": verdict.status.value,
        "reason": verdict.reason and verdict.reason.value,
        "retry_in_seconds": verdict.wait and verdict.wait.total_seconds(),
        "duration_ms": finished.duration_ms,
    }
