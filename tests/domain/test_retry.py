"""Whether and when to try again, with the sum beside the row."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from notifier.domain.delivery import AMBIGUOUS, AttemptOutcome, Outcome, Reason, Status
from notifier.domain.retry import Verdict, decide, is_last

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
STANDARD = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
FAILED = Outcome(AttemptOutcome.FAILED, 500)


def verdict(
    outcome: Outcome = FAILED,
    *,
    attempts_made: int = 1,
    expires_in: float | None = None,
    waits: tuple[float, ...] = STANDARD,
    jitter: float = 0.0,
    hold_unknown: bool = False,
) -> Verdict:
    return decide(
        outcome,
        attempts_made=attempts_made,
        now=NOW,
        expires_at=None if expires_in is None else NOW + timedelta(seconds=expires_in),
        waits=tuple(timedelta(seconds=wait) for wait in waits),
        jitter=jitter,
        hold_unknown=hold_unknown,
    )


def wait_of(decided: Verdict) -> float:
    assert decided.status is Status.RETRYING
    assert decided.wait is not None
    return decided.wait.total_seconds()


@pytest.mark.parametrize(("attempts_made", "seconds"), list(enumerate(STANDARD, start=1)))
def test_each_failure_waits_as_the_schedule_says(attempts_made: int, seconds: float) -> None:
    assert wait_of(verdict(attempts_made=attempts_made)) == seconds


def test_after_the_last_wait_the_retries_are_exhausted() -> None:
    tenth = verdict(attempts_made=10)  # 9 waits lie between 10 tries
    assert tenth == Verdict(Status.FAILED, Reason.RETRIES_EXHAUSTED)
    assert verdict(waits=()) == Verdict(Status.FAILED, Reason.RETRIES_EXHAUSTED)


@pytest.mark.parametrize(
    ("jitter", "seconds"),
    [
        (-1.0, 240.0),  # 300 - 20 % of 300
        (-0.5, 270.0),  # 300 - 10 % of 300
        (0.0, 300.0),
        (0.5, 330.0),  # 300 + 10 % of 300
        (1.0, 360.0),  # 300 + 20 % of 300
    ],
)
def test_jitter_moves_a_wait_by_a_fifth_at_most(jitter: float, seconds: float) -> None:
    assert wait_of(verdict(attempts_made=2, jitter=jitter)) == pytest.approx(seconds)


def test_with_any_jitter_a_later_wait_is_longer() -> None:
    longest = [wait_of(verdict(attempts_made=n, jitter=1)) for n in range(1, 7)]
    shortest = [wait_of(verdict(attempts_made=n, jitter=-1)) for n in range(1, 7)]
    assert all(before < after for before, after in pairwise(shortest))
    assert all(a < b for a, b in zip(longest[:-1], shortest[1:], strict=True))


@pytest.mark.parametrize(
    ("expires_in", "expected"),
    [
        (301.0, Verdict(Status.RETRYING, wait=timedelta(seconds=300))),  # 300 < 301
        (300.0, Verdict(Status.FAILED, Reason.NEXT_SLOT_REACHED)),  # 300 = 300: the next slot has begun
        (299.0, Verdict(Status.FAILED, Reason.NEXT_SLOT_REACHED)),  # 300 > 299
        (-1.0, Verdict(Status.FAILED, Reason.NEXT_SLOT_REACHED)),
        (None, Verdict(Status.RETRYING, wait=timedelta(seconds=300))),
    ],
)
def test_a_delivery_stops_retrying_at_its_next_slot(expires_in: float | None, expected: Verdict) -> None:
    assert verdict(attempts_made=2, expires_in=expires_in) == expected


def test_jitter_counts_when_the_next_slot_is_compared() -> None:
    assert verdict(attempts_made=2, expires_in=301, jitter=1).reason is Reason.NEXT_SLOT_REACHED  # 360 > 301
    assert verdict(attempts_made=2, expires_in=300, jitter=-1).status is Status.RETRYING  # 240 < 300


@pytest.mark.parametrize(
    ("attempts_made", "asked", "seconds"),
    [
        (1, 120, 120),  # max(5, 120)
        (2, 120, 300),  # max(300, 120)
        (1, 6 * 3600, 21600),  # exactly six hours
        (1, 6 * 3600 + 1, 21600),  # six hours at most are honoured
        (6, 7 * 3600, 36000),  # max(36000, 21600)
    ],
)
def test_retry_after_is_never_undercut_up_to_six_hours(
    attempts_made: int, asked: int, seconds: float
) -> None:
    outcome = Outcome(AttemptOutcome.FAILED, 500, retry_after=timedelta(seconds=asked))
    assert wait_of(verdict(outcome, attempts_made=attempts_made)) == seconds


def test_jitter_does_not_undercut_retry_after() -> None:
    outcome = Outcome(AttemptOutcome.FAILED, 500, retry_after=timedelta(seconds=300))
    assert wait_of(verdict(outcome, attempts_made=2, jitter=-1)) == 300  # max(240, 300)


@pytest.mark.parametrize(
    ("outcome", "attempts_made", "seconds"),
    [
        (Outcome(AttemptOutcome.FAILED, 429), 1, 60),  # max(5, 60)
        (Outcome(AttemptOutcome.FAILED, 503), 1, 60),  # max(5, 60)
        (Outcome(AttemptOutcome.TIMEOUT), 1, 60),  # max(5, 60)
        (Outcome(AttemptOutcome.FAILED, 429), 2, 300),  # max(300, 60)
        (Outcome(AttemptOutcome.FAILED, 503, retry_after=timedelta(seconds=90)), 1, 90),  # max(5, 60, 90)
        (Outcome(AttemptOutcome.FAILED, 503, retry_after=timedelta(seconds=10)), 1, 60),  # max(5, 60, 10)
        (Outcome(AttemptOutcome.FAILED, 500), 1, 5),
        (Outcome(AttemptOutcome.FAILED, 302), 1, 5),
        (Outcome(AttemptOutcome.CONNECTION_LOST), 1, 5),
        (Outcome(AttemptOutcome.UNKNOWN), 1, 5),
    ],
)
def test_an_overloaded_receiver_is_left_alone_for_a_minute(
    outcome: Outcome, attempts_made: int, seconds: float
) -> None:
    assert wait_of(verdict(outcome, attempts_made=attempts_made)) == seconds


@pytest.mark.parametrize(
    "reason", [Reason.RECIPIENT_REJECTED, Reason.DESTINATION_GONE, Reason.TEMPLATE_ERROR]
)
def test_a_rejection_is_the_end_whatever_waits_are_left(reason: Reason) -> None:
    assert verdict(Outcome.rejected(reason, "no")) == Verdict(Status.FAILED, reason)


@pytest.mark.parametrize("attempts_made", [1, 10, 99])
def test_a_success_is_delivered_even_after_the_next_slot_began(attempts_made: int) -> None:
    delivered = verdict(Outcome.delivered(204), attempts_made=attempts_made, expires_in=-1)
    assert delivered == Verdict(Status.DELIVERED)


def test_what_was_left_out_of_a_delivery_stays_with_it() -> None:
    partly = Outcome(AttemptOutcome.DELIVERED, 250, reason=Reason.PARTLY_REFUSED)
    assert verdict(partly) == Verdict(Status.DELIVERED, Reason.PARTLY_REFUSED)


@pytest.mark.parametrize(
    ("attempts_made", "expires_in", "last"),
    [
        (9, None, False),
        (10, None, True),  # 9 waits lie between 10 tries
        (2, 361.0, False),  # the longest wait is 300 + 20 % of 300
        (2, 360.0, True),
        (2, -1.0, True),
    ],
)
def test_a_try_is_the_last_if_no_wait_is_left_or_the_next_slot_may_come_first(
    attempts_made: int, expires_in: float | None, last: bool
) -> None:
    expires_at = None if expires_in is None else NOW + timedelta(seconds=expires_in)
    waits = tuple(timedelta(seconds=wait) for wait in STANDARD)
    assert last is is_last(attempts_made=attempts_made, ends_by=NOW, expires_at=expires_at, waits=waits)


@pytest.mark.parametrize("outcome", list(AttemptOutcome))
@pytest.mark.parametrize(("attempts_made", "expires_in"), [(1, None), (10, None), (1, 3.0), (1, -1.0)])
def test_only_what_may_have_arrived_is_held_and_only_where_that_is_asked_for(
    outcome: AttemptOutcome, attempts_made: int, expires_in: float | None
) -> None:
    asked, usual = (
        verdict(Outcome(outcome), attempts_made=attempts_made, expires_in=expires_in, hold_unknown=hold)
        for hold in (True, False)
    )
    assert asked == (Verdict(Status.UNKNOWN) if outcome in AMBIGUOUS else usual)
    assert usual.status is not Status.UNKNOWN
