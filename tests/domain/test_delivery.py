"""The words of the ledger."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from notifier.domain.delivery import AMBIGUOUS, CLAIMABLE, TERMINAL, Outcome, Reason, Status, message_id

SOURCE, TARGET = UUID(int=1), UUID(int=2)
SLOT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def test_a_message_id_is_the_same_whenever_it_is_worked_out() -> None:
    # written down: a change of the formula would make duplicates of what is being retried
    assert message_id(SOURCE, TARGET, SLOT) == "msg_80cc0944b2cf5ebe3d8939021244e9e5"


def test_a_message_id_does_not_depend_on_the_zone_that_the_slot_is_written_in() -> None:
    berlin = timezone(timedelta(hours=1))
    assert message_id(SOURCE, TARGET, SLOT.astimezone(berlin)) == message_id(SOURCE, TARGET, SLOT)


@pytest.mark.parametrize(
    "other",
    [
        (UUID(int=3), TARGET, SLOT),
        (SOURCE, UUID(int=3), SLOT),
        (SOURCE, TARGET, SLOT + timedelta(microseconds=1)),
        (TARGET, SOURCE, SLOT),
    ],
)
def test_a_message_id_differs_with_every_part(other: tuple[UUID, UUID, datetime]) -> None:
    assert message_id(*other) != message_id(SOURCE, TARGET, SLOT)


def test_every_state_waits_is_held_or_is_final() -> None:
    assert set(Status) - TERMINAL - CLAIMABLE == {Status.SENDING, Status.HELD, Status.UNKNOWN}


def test_only_outcomes_that_leave_the_receiver_unknown_are_ambiguous() -> None:
    assert {outcome.value for outcome in AMBIGUOUS} == {"timeout", "connection_lost", "unknown"}
    assert Outcome.rejected(Reason.DESTINATION_GONE, "gone").result not in AMBIGUOUS
    assert Outcome.delivered().result not in AMBIGUOUS
