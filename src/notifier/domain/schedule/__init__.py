"""When a notification is due: pure functions over frozen schedules; `now` is always an argument."""

from notifier.domain.schedule import zones
from notifier.domain.schedule.evaluation import (
    drifts,
    first_anchor,
    first_slot,
    local,
    missed,
    next_slot,
    slots,
)
from notifier.domain.schedule.exclusion import Exclusion, excluded, rule_date
from notifier.domain.schedule.json_form import kind, parse, parse_text, to_json
from notifier.domain.schedule.lateness import Judgement, Unsent, UnsentRange, judge, start_by
from notifier.domain.schedule.model import (
    HORIZON,
    Calendar,
    Cron,
    Dst,
    Interval,
    Limits,
    Missed,
    MissedRule,
    Once,
    Rrule,
    Schedule,
)
from notifier.domain.schedule.preview import Affected, Note, Transition, notes, transitions, warnings

__all__ = [
    "HORIZON",
    "Affected",
    "Calendar",
    "Cron",
    "Dst",
    "Exclusion",
    "Interval",
    "Judgement",
    "Limits",
    "Missed",
    "MissedRule",
    "Note",
    "Once",
    "Rrule",
    "Schedule",
    "Transition",
    "Unsent",
    "UnsentRange",
    "drifts",
    "excluded",
    "first_anchor",
    "first_slot",
    "judge",
    "kind",
    "local",
    "missed",
    "next_slot",
    "notes",
    "parse",
    "parse_text",
    "rule_date",
    "slots",
    "start_by",
    "to_json",
    "transitions",
    "warnings",
    "zones",
]
