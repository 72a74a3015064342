"""When a notification is due: pure functions over frozen schedules; `now` is always an argument."""

from notifier.domain.schedule import zones
from notifier.domain.schedule.evaluation import (
    drifts,
    first_anchor,
    first_slot,
    kind,
    local,
    missed,
    next_slot,
    slots,
)
from notifier.domain.schedule.json_form import parse, to_json
from notifier.domain.schedule.model import HORIZON, Calendar, Dst, Interval, Missed, Schedule

__all__ = [
    "HORIZON",
    "Calendar",
    "Dst",
    "Interval",
    "Missed",
    "Schedule",
    "drifts",
    "first_anchor",
    "first_slot",
    "kind",
    "local",
    "missed",
    "next_slot",
    "parse",
    "slots",
    "to_json",
    "zones",
]
