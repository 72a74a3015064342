"""What holds for every outcome, whatever receivers say and however a destination is tried."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.delivery import AttemptOutcome, Outcome, Reason, Status
from notifier.domain.retry import JITTER, LEAST_WAIT_WHEN_OVERLOADED, LONGEST_RETRY_AFTER, Verdict, decide

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)

again = st.builds(
    Outcome,
    st.sampled_from(
        [
            AttemptOutcome.FAILED,
            AttemptOutcome.TIMEOUT,
            AttemptOutcome.CONNECTION_LOST,
            AttemptOutcome.UNKNOWN,
        ]
    ),
    st.none() | st.integers(100, 599),
    retry_after=st.none() | st.timedeltas(timedelta(0), timedelta(seconds=10**10)),
)
schedules = st.lists(st.timedeltas(timedelta(seconds=1), 7 * DAY), max_size=20).map(tuple)
jitters = st.floats(-1, 1)
ends = st.none() | st.timedeltas(-DAY, 10 * DAY).map(NOW.__add__)


@given(again, schedules, st.integers(1, 25), jitters, ends)
def test_a_wait_keeps_all_its_bounds(
    outcome: Outcome,
    waits: tuple[timedelta, ...],
    attempts_made: int,
    jitter: float,
    expires_at: datetime | None,
) -> None:
    verdict = decide(
        outcome,
        attempts_made=attempts_made,
        now=NOW,
        expires_at=expires_at,
        waits=waits,
        jitter=jitter,
    )
    if attempts_made > len(waits):
        assert verdict == Verdict(Status.FAILED, Reason.RETRIES_EXHAUSTED)
        return
    base = waits[attempts_made - 1]
    asked = min(outcome.retry_after or timedelta(0), LONGEST_RETRY_AFTER)
    overloaded = outcome.result is AttemptOutcome.TIMEOUT or outcome.status_code in (429, 503)
    least = LEAST_WAIT_WHEN_OVERLOADED if overloaded else timedelta(0)
    if verdict.status is Status.FAILED:
        assert verdict == Verdict(Status.FAILED, Reason.NEXT_SLOT_REACHED)
        assert expires_at is not None
        assert expires_at <= NOW + max(base * (1 + JITTER), least, asked)
        return
    assert verdict.status is Status.RETRYING
    assert verdict.wait is not None
    # a jittered wait is worked out in floating point, to the microsecond
    slack = timedelta(microseconds=1)
    assert max(base * (1 - JITTER) - slack, least, asked) <= verdict.wait
    assert verdict.wait <= max(base * (1 + JITTER) + slack, least, asked)
    assert expires_at is None or NOW + verdict.wait < expires_at


@given(again, schedules, jitters)
def test_no_delivery_is_tried_more_often_than_its_schedule_says(
    outcome: Outcome, waits: tuple[timedelta, ...], jitter: float
) -> None:
    tries = 1
    while (
        decide(outcome, attempts_made=tries, now=NOW, expires_at=None, waits=waits, jitter=jitter).status
        is Status.RETRYING
    ):
        tries += 1
    assert tries == len(waits) + 1


@given(st.sampled_from(list(Reason)), schedules, st.integers(1, 25), ends)
def test_what_is_permanent_is_never_tried_again(
    reason: Reason, waits: tuple[timedelta, ...], attempts_made: int, expires_at: datetime | None
) -> None:
    verdict = decide(
        Outcome.rejected(reason, "no", 410),
        attempts_made=attempts_made,
        now=NOW,
        expires_at=expires_at,
        waits=waits,
        jitter=0,
    )
    assert verdict == Verdict(Status.FAILED, reason)
