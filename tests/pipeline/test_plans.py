"""A plan accounts for every slot that has come due, once, whatever the rule and its exceptions."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from notifier.clock import new_id
from notifier.domain import schedule
from notifier.domain.delivery import Status
from notifier.pipeline.plans import Plan

BORN = datetime(2027, 3, 25, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RULES: tuple[dict[str, Any], ...] = (
    {"kind": "calendar", "frequency": "daily", "times": ["02:30", "09:00"], "timezone": "Europe/Berlin"},
    {"kind": "cron", "expression": "*/20 * * * *", "timezone": "America/New_York"},
    {"kind": "interval", "every": "PT7H", "anchor": "grid"},
    {"kind": "interval", "every": "PT7H"},
    {"kind": "rrule", "rrule": "FREQ=DAILY", "dtstart": "2027-01-01T02:30", "timezone": "Europe/Berlin"},
)
MISSED = st.fixed_dictionaries(
    {"policy": st.sampled_from(["latest", "all", "skip"]), "max": st.integers(min_value=1, max_value=5)},
    optional={"grace": st.sampled_from(["PT0S", "PT30M", "PT30H"])},
)
LIMITS = st.fixed_dictionaries(
    {"missed": MISSED},
    optional={
        "exclude_dates": st.just(["2027-03-27", "2027-03-29"]),
        "max_occurrences": st.integers(min_value=1, max_value=4),
        "end_at": st.just("2027-03-30T12:00:00Z"),
    },
)
ACTIONS = st.lists(st.sampled_from([None, "skip", "move", "reword"]), max_size=6)


@given(
    st.sampled_from(RULES), LIMITS, ACTIONS, st.integers(0, 10 * 24 * 60), st.sampled_from([1, 2]), st.data()
)
def test_every_due_slot_has_one_row_for_each_destination(
    value: dict[str, Any], limits: dict[str, Any], actions: list[str | None], minutes: int, to: int, data: Any
) -> None:
    rule = schedule.parse({**value, **limits})
    first = schedule.first_slot(rule, now=BORN)
    assert first is not None
    now = first + minutes * MINUTE
    due = _due(rule, first, now)
    most = rule.limits.max_occurrences
    sent_before = data.draw(st.integers(0, most - 1)) if most else 0
    row: Any = SimpleNamespace(
        project_id=new_id(),
        id=new_id(),
        revision=1,
        schedule=json.dumps(schedule.to_json(rule)),
        anchor_at=BORN,
        next_due_at=first,
        slots_sent=sent_before,
        now=now,
    )
    exceptions: Any = {
        slot: SimpleNamespace(id=new_id(), action=action, planned_at=None)
        for slot, action in zip(due[-len(actions) :] if actions else [], actions, strict=False)
        if action
    }
    key = row.project_id, row.id
    plan = Plan({key: [new_id() for _ in range(to)]}, {key: exceptions})
    plan.add_due(row)
    (move,) = plan.moves

    # each destination has the same rows, each slot once; a range stands for those that it counts
    slots = sorted({one.scheduled_for for one in plan.deliveries})
    assert len(plan.deliveries) == len(slots) * to
    accounted = sum(one.slot_count for one in plan.deliveries) // to
    assert set(slots) <= set(due)
    # what counts for max_occurrences never exceeds it; where it is reached, the rule has no slots any more
    pending = [one for one in plan.deliveries if one.status == Status.PENDING]
    moved = [one for one in plan.deliveries if one.reason == "moved"]
    assert move.sent == (len(pending) + len(moved)) // to
    if most and sent_before + move.sent >= most:
        assert sent_before + move.sent == most
        assert move.next_due_at is None
        assert accounted <= len(due)
    else:
        assert accounted == len(due)
        assert move.next_due_at == schedule.next_slot(rule, after=due[-1], anchor=BORN)
    assert move.last_slot_at == due[-1]
    # what the user left out is never sent
    left_out = {slot for slot, one in exceptions.items() if one.action != "reword"}
    assert not left_out & {one.scheduled_for for one in pending}
    assert all(schedule.excluded(rule, one.scheduled_for) is None for one in pending)


def _due(rule: schedule.Schedule, first: datetime, now: datetime) -> list[datetime]:
    """Return the slots from `first` to `now`, one after the other."""
    found, slot = [], first
    while slot is not None and slot <= now:
        found.append(slot)
        slot = schedule.next_slot(rule, after=slot, anchor=BORN)  # type: ignore[assignment]
    return found
