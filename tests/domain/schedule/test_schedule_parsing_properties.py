"""`parse` never breaks, whatever JSON it gets."""

from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain import schedule
from notifier.domain.errors import InvalidInput

DAILY = {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "Europe/Berlin"}
WEEKLY = {**DAILY, "frequency": "weekly", "weekdays": ["mon"]}
EVERY = {"kind": "interval", "every": "daily"}
MONTHLY = {**DAILY, "frequency": "monthly", "month_days": [31]}
ONCE = {"kind": "once", "at": "2027-03-28T09:00", "timezone": "Europe/Berlin"}
CRON = {"kind": "cron", "expression": "0 9 * * mon", "timezone": "Europe/Berlin"}
RRULE = {"kind": "rrule", "rrule": "FREQ=DAILY", "dtstart": "2026-11-22T09:00", "timezone": "Europe/Berlin"}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
PLAUSIBLE = st.sampled_from(
    [
        *("interval", "calendar", "daily", "weekly", "grid", "both", "PT1H", "P1M", "UTC", "Europe/Berlin"),
        *("09:00", "2026-11-22", "2026-11-22T09:00:00Z", ["mon"], ["09:00"], 2, {"gap": "skip"}),
    ]
)
FIELDS = st.sampled_from(
    [
        *("kind", "every", "anchor", "start_at", "end_at", "frequency", "times", "weekdays", "start_date"),
        *("timezone", "dst", "month_days", "nth_weekdays", "at", "missed", "exclude_dates"),
        *("expression", "rrule", "dtstart", "holidays"),
    ]
)
OBJECTS = st.dictionaries(FIELDS, PLAUSIBLE | JSON, max_size=10)
MUTATED = st.builds(
    lambda base, change: {**base, **change},
    st.sampled_from([DAILY, WEEKLY, MONTHLY, EVERY, ONCE, CRON, RRULE]),
    OBJECTS,
)


@given(value=JSON | OBJECTS | MUTATED)
@settings(deadline=None)
def test_whatever_json_comes_it_is_a_schedule_or_a_refusal(value: object) -> None:
    try:
        parsed = schedule.parse(value)
    except InvalidInput as error:
        problems = error.problems
    else:
        assert schedule.parse(schedule.to_json(parsed)) == parsed
        return
    assert problems
    assert all(p.pointer.encode() + p.detail.encode() and p.code for p in problems)
