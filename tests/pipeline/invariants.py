"""What is true of a world at any moment, whatever has been done to it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from notifier.domain import schedule
from notifier.domain.delivery import AMBIGUOUS, CLAIMABLE, TERMINAL, message_id
from notifier.pipeline import auditor
from tests.pipeline.world import World

ENDS: dict[str, set[str | None]] = {
    "pending": {None},
    "sending": {None},
    "retrying": {None},
    "unknown": {None},
    "held": {None, "overdue"},
    "delivered": {None, "decided", "partly_refused"},
    "failed": {
        *("retries_exhausted", "next_slot_reached", "recipient_rejected", "destination_gone", "poison"),
        *("decided", "planning_error"),
    },
    "skipped": {"decided", "overdue", "paused", "excluded", "moved"},
    "missed": {"coalesced", "grace_exceeded"},
    "canceled": {"paused", "notification_deleted", "destination_deleted"},
}
"""The reasons of each status that the page about the ledger names."""

LEDGER = """
SELECT d.*, n.status AS notification_status, t.blocked_at, t.on_unknown,
  ARRAY(SELECT a.number FROM attempts AS a
    WHERE a.project_id = d.project_id AND a.delivery_id = d.id ORDER BY a.number) AS numbers,
  ARRAY(SELECT coalesce(a.outcome, 'none') FROM attempts AS a
    WHERE a.project_id = d.project_id AND a.delivery_id = d.id ORDER BY a.number) AS outcomes,
  ARRAY(SELECT a.started_at FROM attempts AS a
    WHERE a.project_id = d.project_id AND a.delivery_id = d.id ORDER BY a.number) AS begun
FROM deliveries AS d
JOIN destinations AS t ON t.project_id = d.project_id AND t.id = d.destination_id
LEFT JOIN notifications AS n ON n.project_id = d.project_id AND n.id = d.notification_id
"""
NOTIFICATIONS = "SELECT * FROM notifications ORDER BY id"

Slot = tuple[UUID, UUID, datetime]


class Witness:
    """Looks at a world after each step; `seen` has every row of a slot that there ever was, and its slots."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen: dict[Slot, tuple[UUID, int]] = {}

    async def look(self) -> None:
        """Fail if anything is not as it has to be."""
        ledger = await self.world.sql(LEDGER)
        for row in ledger:
            self._is_the_only_one_of_its_slot(row)
            _has_a_reason_where_one_belongs(row)
            _can_go_on_unless_it_has_ended(row)
            _fits_its_attempts(row)
            _was_tried_in_time(row)
            self._came_twice_only_where_it_may(row)
        for row in await self.world.sql(NOTIFICATIONS):
            _has_a_next_slot_while_it_is_active(row)
        await self._satisfies_the_auditor(sum(row.status == "sending" for row in ledger))

    async def after_a_sweep(self) -> None:
        """Fail if a sweep has left something that is due."""
        for row in await self.world.sql(NOTIFICATIONS):
            if row.status == "active":
                assert row.next_due_at > self.world.now, row

    async def slots_of(self, notification_id: UUID, rule: schedule.Schedule, since: datetime) -> None:
        """Fail if the ledger passed over a slot of a rule that nobody changed `since` an instant.

        All slots before the next one have come up; in a pause, all before the first one that it skips.
        """
        row = await self.world.house.notification(notification_id)
        expected, slot = 0, schedule.first_slot(rule, now=since)
        while slot is not None and slot != row.next_due_at:
            expected += 1
            slot = schedule.next_slot(rule, after=slot, anchor=row.anchor_at)
        counts: dict[UUID, int] = {}
        for (of, destination_id, _), (_, count) in self.seen.items():
            if of == notification_id:
                counts[destination_id] = counts.get(destination_id, 0) + count
        assert set(counts.values()) <= {expected}, (row, expected, counts)
        assert counts or not expected, row

    def _is_the_only_one_of_its_slot(self, row: Row[Any]) -> None:
        if row.trigger != "schedule":
            return
        slot = (row.notification_id, row.destination_id, row.scheduled_for)
        assert self.seen.setdefault(slot, (row.id, row.slot_count)) == (row.id, row.slot_count), row
        assert row.message_id == message_id(*slot), row

    def _came_twice_only_where_it_may(self, row: Row[Any]) -> None:
        again = self.world.accepted[row.id] - 1
        ambiguous = sum(outcome in {*AMBIGUOUS, "none"} for outcome in row.outcomes)
        assert again <= ambiguous, row
        if row.on_unknown == "hold":
            assert again <= self.world.asked_again[row.id], row
        if row.status == "delivered" and row.reason != "decided":
            assert again >= 0, row

    async def _satisfies_the_auditor(self, sending: int) -> None:
        """The world's time is long ago: what has no outcome is old, and belongs to what is being sent."""
        found = (await auditor.look(self.world.database, lease=0)).figures()
        broken = {figure: found[figure] for figure in auditor.BROKEN}
        assert broken == {**dict.fromkeys(broken, 0), "attempts_without_outcome": sending}


def _has_a_reason_where_one_belongs(row: Row[Any]) -> None:
    assert row.reason in ENDS[row.status], row
    assert (row.finished_at is not None) == (row.status in TERMINAL), row


def _can_go_on_unless_it_has_ended(row: Row[Any]) -> None:
    """Something will take it up: the clock, the end of a lease, a person."""
    assert (row.next_attempt_at is not None) == (row.status in CLAIMABLE | {"sending"}), row
    assert (row.lease_expires_at is not None) == (row.status == "sending"), row
    if row.status == "held" and row.reason is None:
        assert row.blocked_at is not None, row
    if row.notification_status == "deleted" and row.status in CLAIMABLE | {"held"}:
        assert row.unknown_streak, row  # whose lease ended after that; it is canceled when it would be tried


def _fits_its_attempts(row: Row[Any]) -> None:
    made = len(row.outcomes)
    assert row.numbers == list(range(1, row.attempts_made + 1)), row
    assert row.outcomes.count("none") == (row.status == "sending"), row
    assert "none" not in row.outcomes[:-1], row
    assert ("delivered" in row.outcomes) == (row.status == "delivered" and row.reason != "decided"), row
    if row.status == "failed" and row.reason != "planning_error":
        assert made, row
    if row.status in {"missed", "skipped"} and row.reason not in {"decided", "overdue"}:
        assert not made, row


def _was_tried_in_time(row: Row[Any]) -> None:
    """The first try within the grace, others before the next slot; what a person released, at any time."""
    first, others = row.begun[:1], row.begun[1:]
    assert row.start_by is None or all(at < row.start_by for at in first), row
    assert row.expires_at is None or all(at < row.expires_at for at in others), row
    if row.status == "failed" and row.reason == "next_slot_reached":
        assert row.expires_at is not None, row


def _has_a_next_slot_while_it_is_active(row: Row[Any]) -> None:
    if row.status == "active":
        assert row.next_due_at is not None, row
    if row.status in {"completed", "deleted"}:
        assert row.next_due_at is None, row
