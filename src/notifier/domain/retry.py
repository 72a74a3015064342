"""Whether and when to try again: a pure decision over a schedule of waits (semantics.md 6)."""

from datetime import datetime, timedelta
from typing import NamedTuple

from notifier.domain.delivery import AMBIGUOUS, AttemptOutcome, Outcome, Reason, Status

JITTER = 0.2
LEAST_WAIT_WHEN_OVERLOADED = timedelta(seconds=60)
LONGEST_RETRY_AFTER = timedelta(hours=6)
OVERLOADED_CODES = frozenset({429, 503})


class Verdict(NamedTuple):
    """What an attempt makes of its delivery; `wait` is set for `retrying` only."""

    status: Status
    reason: Reason | None = None
    wait: timedelta | None = None


def decide(
    outcome: Outcome,
    *,
    attempts_made: int,
    now: datetime,
    expires_at: datetime | None,
    waits: tuple[timedelta, ...],
    jitter: float,
    hold_unknown: bool = False,
) -> Verdict:
    """Return what follows `outcome`.

    `attempts_made` counts this attempt. `expires_at` is when the next slot begins (UTC), None if none does.
    `waits` holds the wait before the second try, the third, and so on. `jitter` is in -1..1.
    With `hold_unknown` a message that may have arrived is not sent again: a person decides.
    """
    if verdict := final(outcome):
        return verdict
    if hold_unknown and outcome.result in AMBIGUOUS:
        return Verdict(Status.UNKNOWN)
    if attempts_made > len(waits):
        return Verdict(Status.FAILED, Reason.RETRIES_EXHAUSTED)
    wait = _wait(outcome, waits[attempts_made - 1], jitter)
    if expires_at is not None and now + wait >= expires_at:
        return Verdict(Status.FAILED, Reason.NEXT_SLOT_REACHED)
    return Verdict(Status.RETRYING, wait=wait)


def final(outcome: Outcome) -> Verdict | None:
    """Return what follows `outcome` whatever else is known, or None if that counts."""
    if outcome.result is AttemptOutcome.DELIVERED:
        return Verdict(Status.DELIVERED, outcome.reason)
    if outcome.result is AttemptOutcome.REJECTED:
        return Verdict(Status.FAILED, outcome.reason)
    return None


def is_last(
    *, attempts_made: int, ends_by: datetime, expires_at: datetime | None, waits: tuple[timedelta, ...]
) -> bool:
    """Say whether a try that ends by then (UTC) may have no other one after it, should it fail."""
    if attempts_made > len(waits):
        return True
    return expires_at is not None and ends_by + waits[attempts_made - 1] * (1 + JITTER) >= expires_at


def _wait(outcome: Outcome, base: timedelta, jitter: float) -> timedelta:
    """Return the wait: jittered, and never less than the receiver asked for."""
    least = timedelta(0)
    if outcome.result is AttemptOutcome.TIMEOUT or outcome.status_code in OVERLOADED_CODES:
        least = LEAST_WAIT_WHEN_OVERLOADED
    asked = min(outcome.retry_after or timedelta(0), LONGEST_RETRY_AFTER)
    return max(base * (1 + JITTER * jitter), least, asked)
