"""Deliveries: claim, send, record (engine.md 3). The steps are numbered as there.

Many are in hand at once, and go from step to step as data: all that may be claimed now is claimed by one
statement, the messages of all these claims are prepared, each is sent once its receiver has a place, and what
has ended meanwhile is recorded by one statement. No transaction is open while a message is being sent. A
process that dies in between leaves a lease behind, which the rescuer breaks.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog

from notifier import failpoints
from notifier.clock import monotonic
from notifier.deadlines import Deadlines
from notifier.domain.delivery import Outcome
from notifier.domain.retry import Verdict
from notifier.gathering import Batcher
from notifier.observability import logs
from notifier.pipeline.attempts import Attempts, Channels, Letter, Limits
from notifier.pipeline.bookkeeping import Bookkeeping
from notifier.pipeline.bulkheads import Bulkheads
from notifier.pipeline.composing import Composer
from notifier.pipeline.in_hand import InHand, Visit
from notifier.pipeline.quarantine import Quarantine
from notifier.storage.claims import Claim
from notifier.storage.encryption import Cipher
from notifier.storage.outcomes import Finished

log = structlog.get_logger(__name__)

CROWDED_WAIT = 30
"""Seconds until a delivery is tried whose receiver is so slow that its places stay taken."""

LONGEST_PAUSE = 5.0
"""Seconds between two tries to write an outcome, at most."""

MANY = 1000

TOGETHER = 500
"""Deliveries in one statement."""

PATIENCE = 0.05
"""Seconds after which a statement is not waited for with the next one of its kind: it may wait for a lock."""

PREPARED_AT_ONCE = 100
"""Messages rendered in one go: nothing else happens meanwhile, and a template may take its time."""


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
    _attempts: Attempts = field(init=False)
    _admitted: Batcher[InHand] = field(init=False)
    _ended: Batcher[InHand] = field(init=False)
    _quarantine: Quarantine = field(init=False)

    def __post_init__(self) -> None:
        """Make what goes from step to step."""
        keep = partial(object.__setattr__, self)
        tools = (self.channels, Composer(self.cipher), self.waits, self.limits)
        keep("_attempts", Attempts(*tools))
        # whole polls are admitted at once, and as many as an earlier batch made room for
        keep("_admitted", Batcher(self._claim, window=0, most=TOGETHER, patience=PATIENCE))
        alone: Batcher[InHand] = Batcher(partial(self._claim, alone=True), window=0, most=1, at_once=1)
        keep("_quarantine", Quarantine(self.books, alone.add))
        keep("_ended", Batcher(self._record, window=self.window, most=TOGETHER, patience=PATIENCE))

    async def deliver(self, project_id: UUID, delivery_id: UUID) -> None:
        """Try one delivery once. Does nothing if it is not due, is another worker's, or has ended."""
        await self.begin(project_id, delivery_id)

    def begin(self, project_id: UUID, delivery_id: UUID) -> InHand:
        """Begin to try one delivery once; what is returned is done once that is over. It may be cancelled."""
        failpoints.reach(failpoints.AFTER_PICK_UP)
        one = InHand(project_id, delivery_id, self._admitted.add)
        self.projects.enter(project_id, one)
        return one

    def stop(self) -> None:
        """Begin with no suspect any more: the process is about to end."""
        self._quarantine.close()

    async def _claim(self, admitted: Sequence[InHand], *, alone: bool = False) -> None:
        """Claim (step 1): the rows say `sending` before anything leaves this process."""
        wanted = [one for one in admitted if not one.done()]
        if not wanted:
            return
        try:
            started, claims = await self.books.claim([one.wanted for one in wanted], alone=alone)
        except Exception as error:
            for one in wanted:
                one.fail(error)
            return
        taken: list[InHand] = []
        unclaimed: list[InHand] = []
        for one, claim in zip(wanted, claims, strict=True):
            if claim is None:
                unclaimed.append(one)
                continue
            failpoints.reach(failpoints.AFTER_CLAIM)
            one.claim, one.started = claim, started
            taken.append(one)
        if alone:
            _end_all(unclaimed)
        elif unclaimed:
            await self._quarantine.take_in(unclaimed)
        for first in range(0, len(taken), PREPARED_AT_ONCE):
            self._post(taken[first : first + PREPARED_AT_ONCE])
            await asyncio.sleep(0)

    def _post(self, taken: Sequence[InHand]) -> None:
        """Have messages sent, each once its receiver has a place, if they are wanted still."""
        wanted = []
        for one in taken:
            if one.done():
                self._turn_back(one)
            else:
                wanted.append(one)
        letters = self._attempts.prepare([one.claim for one in wanted])
        for one, letter in zip(wanted, letters, strict=True):
            try:
                self._dispatch(one, letter)
            except Exception as error:
                # a bug: it costs this one its end, and no other one
                one.fail(error)

    def _dispatch(self, one: InHand, letter: Letter | Outcome) -> None:
        if isinstance(letter, Outcome):
            self._know(one, self._attempts.judge(one.claim, letter, one.started))
        else:
            one.visit = Visit(one, letter, self._begin_send, self._turn_back)
            self.receivers.enter(letter.receiver, one.visit)
            if one.visit is not None:
                one.end_head_start()

    def _begin_send(self, one: InHand, letter: Letter) -> None:
        """Send (step 2), or give the claim back if this process slept until its lease could end first."""
        age = monotonic() - one.started
        if age > self.limits.too_old_to_send:
            one.attempt = asyncio.create_task(self._oversleep(one))
            return
        one.sending = True
        one.attempt = sending = self._attempts.begin(one.claim, letter)
        # channels keep their own time-outs; this is for one that does not, so that its lease holds
        one.deadline = self.deadlines.call_in(self.limits.lease - age, sending.cancel)
        sending.add_done_callback(partial(self._sent, one))

    def _sent(self, one: InHand, sending: asyncio.Future[Outcome]) -> None:
        """Have the outcome recorded, and let the next one go to the receiver."""
        late = one.deadline.passed
        one.deadline.cancel()
        try:
            outcome = self._attempts.outcome(one.claim, sending, late=late)
            failpoints.reach(failpoints.BEFORE_OUTCOME)
            finished = self._attempts.judge(one.claim, outcome, one.started)
        except BaseException as error:
            one.fail(error)
            if not isinstance(error, (Exception, asyncio.CancelledError)):
                raise
        else:
            one.leave_receiver(well=True)
            self._know(one, finished)

    async def _oversleep(self, one: InHand) -> None:
        one.leave_receiver(well=False)
        await self._give_back(one, "overslept", 0)

    def _turn_back(self, one: InHand) -> None:
        """Give the claim back: nobody wants it any longer, or its receiver has no place, nor soon."""
        wait = 0 if one.done() else CROWDED_WAIT
        one.attempt = asyncio.create_task(self._give_back(one, "unwanted" if one.done() else "crowded", wait))

    def _know(self, one: InHand, finished: Finished) -> None:
        """Have it recorded how an attempt ended."""
        one.finished = finished
        one.give_up_at = monotonic() + self.limits.recording
        self._ended.add(one)

    async def _give_back(self, one: InHand, why: str, wait: float) -> None:
        """Give back a claim from which nothing was sent; its project has earned nothing by it."""
        try:
            log.info("claim.given_back", delivery_id=str(one.claim.id), why=why)
            await self.books.give_back(one.claim, wait)
        except Exception as error:
            one.fail(error)
        else:
            one.end(well=False)

    async def _record(self, ended: Sequence[InHand]) -> None:
        """Record (step 3), behind the fences of the leases."""
        try:
            written = await self.books.record([one.finished for one in ended])
        except Exception as error:
            written = [error] * len(ended)
        lines = []
        for one, result in zip(ended, written, strict=True):
            try:
                if isinstance(result, Exception):
                    self._record_later(one, result)
                else:
                    lines.append(self._finish(one, result))
            except Exception as error:
                # a bug: it costs this one its end, and no other one
                one.fail(error)
        _log(lines)

    def _finish(self, one: InHand, recorded: bool) -> dict[str, Any]:
        """Count and end what is recorded; return what is logged of it."""
        finished = one.finished
        outcome, verdict = finished.outcome.result, finished.verdict
        kind, seconds = one.claim.destination.kind, finished.duration_ms / 1000
        self.count(kind, outcome, verdict.status, verdict.reason, seconds)
        failpoints.reach(failpoints.AFTER_OUTCOME)
        one.end(well=True)
        return {"recorded": recorded, **_line(one.claim, finished)}

    def _record_later(self, one: InHand, error: Exception) -> None:
        """Write the outcome again and again, while the database is away: it must not become a duplicate."""
        if monotonic() > one.give_up_at:
            log.error("outcome.lost", exc_info=error, **_line(one.claim, one.finished))
            one.end(well=True)
            return
        asyncio.get_running_loop().call_later(one.pause, self._ended.add, one)
        log.warning("outcome.retry", delivery_id=str(one.claim.id), error=repr(error))
        one.pause = min(one.pause * 2, LONGEST_PAUSE)


def _end_all(unclaimed: Sequence[InHand]) -> None:
    """Have all be over; their projects have earned nothing by them."""
    for one in unclaimed:
        one.end(well=False)


def _log(lines: Sequence[dict[str, Any]]) -> None:
    """Log the attempts of a batch: they are over, whatever becomes of their lines."""
    try:
        logs.info(__name__, "delivery.attempted", lines)
    except Exception:
        log.exception("lines.lost", lines=len(lines))


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
        "destination_name": claim.destination.name,
        "kind": claim.destination.kind,
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
