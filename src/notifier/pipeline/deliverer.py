"""Deliveries: claim, send, record (engine.md 3). The steps are numbered as there.

Many are in hand at once, and go from step to step as data: all that may be claimed now is claimed by one
statement, each claim is sent by a task of its own, and what has ended meanwhile is recorded by one statement.
No transaction is open while a message is being sent. A process that dies in between leaves a lease behind,
which the rescuer breaks.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Protocol
from uuid import UUID

import structlog

from notifier import failpoints, rendering
from notifier.clock import monotonic
from notifier.deadlines import Deadlines
from notifier.domain.delivery import AttemptOutcome, Envelope, Outcome, Reason, Trigger
from notifier.domain.retry import Verdict, decide, is_last
from notifier.gathering import Batcher
from notifier.pipeline.bookkeeping import Bookkeeping
from notifier.pipeline.bulkheads import Bulkheads, Crowded
from notifier.pipeline.composing import Composer
from notifier.pipeline.in_hand import InHand
from notifier.storage.claims import Claim
from notifier.storage.encryption import Cipher, DecryptionFailed
from notifier.storage.outcomes import Finished

log = structlog.get_logger(__name__)

CROWDED_WAIT = 30
"""Seconds until a delivery is tried whose receiver is so slow that its places stay taken."""

LONGEST_PAUSE = 5.0
"""Seconds between two tries to write an outcome, at most."""

MANY = 1000

TOGETHER = 500
"""Deliveries in one statement."""


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


class _Unwanted(Exception):
    """Nobody waits for the delivery any longer: it was cancelled while it was being claimed."""


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
    """What every delivery needs. Outcomes wait `window` seconds for company."""

    books: Bookkeeping
    channels: Channels
    cipher: Cipher
    waits: tuple[timedelta, ...]
    limits: Limits
    window: float = 0
    projects: Bulkheads = field(default_factory=lambda: Bulkheads(MANY, 2 * MANY))
    receivers: Bulkheads = field(default_factory=lambda: Bulkheads(MANY, 2 * MANY))
    deadlines: Deadlines = field(default_factory=Deadlines)
    count: Callable[[str, str, str, str | None, float], None] = lambda *_: None
    """Told of each attempt: kind, outcome, new status, reason, seconds. A rehearsal's are counted nowhere."""
    _composer: Composer = field(init=False)
    _admitted: Batcher[InHand] = field(init=False)
    _ended: Batcher[InHand] = field(init=False)

    def __post_init__(self) -> None:
        """Make what goes from step to step."""
        keep = partial(object.__setattr__, self)
        keep("_composer", Composer(self.cipher))
        # whole polls are admitted at once, and as many as an earlier batch made room for
        keep("_admitted", Batcher(self._claim, window=0, most=TOGETHER))
        keep("_ended", Batcher(self._record, window=self.window, most=TOGETHER))

    async def deliver(self, project_id: UUID, delivery_id: UUID) -> None:
        """Try one delivery once. Does nothing if it is not due, is another worker's, or has ended."""
        await self.begin(project_id, delivery_id)

    def begin(self, project_id: UUID, delivery_id: UUID) -> InHand:
        """Begin to try one delivery once; what is returned is done once that is over. It may be cancelled."""
        failpoints.reach(failpoints.AFTER_PICK_UP)
        one = InHand(project_id, delivery_id, self._admitted.add)
        self.projects.enter(project_id, one)
        return one

    async def _claim(self, admitted: Sequence[InHand]) -> None:
        """Claim (step 1): the rows say `sending` before anything leaves this process."""
        wanted = [one for one in admitted if not one.done()]
        if not wanted:
            return
        try:
            started, claims = await self.books.claim([one.wanted for one in wanted])
        except Exception as error:
            for one in wanted:
                one.fail(error)
            return
        for one, claim in zip(wanted, claims, strict=True):
            self._attempt(one, claim, started)

    def _attempt(self, one: InHand, claim: Claim | None, started: float) -> None:
        """Begin the attempt, if it was claimed."""
        if claim is None:
            one.end(well=True)
            return
        failpoints.reach(failpoints.AFTER_CLAIM)
        one.claim, one.started = claim, started
        one.attempt = asyncio.create_task(self._send(one))

    async def _send(self, one: InHand) -> None:
        """Send (step 2), or give the claim back."""
        try:
            if one.done():
                raise _Unwanted
            outcome = await self._try(one.claim, one.started)
            failpoints.reach(failpoints.BEFORE_OUTCOME)
            one.finished = self._judge(one.claim, outcome, monotonic() - one.started)
            one.give_up_at = monotonic() + self.limits.recording
        except (Crowded, _Overslept, _Unwanted) as error:
            await self._give_back(one, error)
        except BaseException as error:
            one.fail(error)
            if not isinstance(error, Exception):
                raise
        else:
            self._ended.add(one)

    async def _give_back(self, one: InHand, why: Exception) -> None:
        """Give back a claim from which nothing was sent; its project has earned nothing by it."""
        try:
            log.info("claim.given_back", delivery_id=str(one.claim.id), why=type(why).__name__)
            await self.books.give_back(one.claim, CROWDED_WAIT if isinstance(why, Crowded) else 0)
        except Exception as error:
            one.fail(error)
        else:
            one.end(well=False)

    async def _try(self, claim: Claim, started: float) -> Outcome:
        """Render and send; what cannot be rendered or sent is an outcome too.

        Raises Crowded or _Overslept if nothing was sent and the claim is to be given back.
        """
        try:
            channel = self.channels.get(claim.kind)
            envelope = self._composer.envelope(claim, last=self._is_last(claim))
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
            return await self._send_in_time(channel, envelope, started)

    async def _send_in_time(self, channel: Sender, envelope: Envelope, started: float) -> Outcome:
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

    async def _record(self, ended: Sequence[InHand]) -> None:
        """Record (step 3), behind the fences of the leases."""
        try:
            written = await self.books.record([one.finished for one in ended])
        except Exception as error:
            written = [error] * len(ended)
        for one, result in zip(ended, written, strict=True):
            try:
                self._finish(one, result)
            except Exception as error:
                # a log on a full disk, say: it costs this one its end, and no other one
                one.fail(error)

    def _finish(self, one: InHand, recorded: bool | Exception) -> None:
        """Log, count and end what is recorded; what is not yet, again later."""
        if isinstance(recorded, Exception):
            self._record_later(one, recorded)
            return
        finished = one.finished
        outcome, verdict = finished.outcome.result, finished.verdict
        self.count(one.claim.kind, outcome, verdict.status, verdict.reason, finished.duration_ms / 1000)
        log.info("delivery.attempted", recorded=recorded, **_line(one.claim, finished))
        failpoints.reach(failpoints.AFTER_OUTCOME)
        one.end(well=True)

    def _record_later(self, one: InHand, error: Exception) -> None:
        """Write the outcome again and again, while the database is away: it must not become a duplicate."""
        if monotonic() > one.give_up_at:
            log.error("outcome.lost", exc_info=error, **_line(one.claim, one.finished))
            one.end(well=True)
            return
        asyncio.get_running_loop().call_later(one.pause, self._ended.add, one)
        log.warning("outcome.retry", delivery_id=str(one.claim.id), error=repr(error))
        one.pause = min(one.pause * 2, LONGEST_PAUSE)


def _line(claim: Claim, finished: Finished) -> dict[str, Any]:
    """Return the fields of the one wide line that is logged for an attempt."""
    verdict: Verdict = finished.verdict
    return {
        "delivery_id": claim.id,
        "notification_id": claim.notification_id,
        "external_id": claim.external_id,
        # as it was written: the rendered words belong to the receiver alone
        "title": claim.title or claim.newest_title,
        "destination_id": claim.destination_id,
        "destination_name": claim.destination_name,
        "kind": claim.kind,
        "trigger": claim.trigger,
        "message_id": claim.message_id,
        "scheduled_for": claim.scheduled_for,
        "attempt": finished.number,
        "outcome": finished.outcome.result,
        "status_code": finished.outcome.status_code,
        "error": finished.outcome.error,
        "status": verdict.status,
        "reason": verdict.reason,
        "retry_in_seconds": verdict.wait and verdict.wait.total_seconds(),
        "duration_ms": finished.duration_ms,
    }
