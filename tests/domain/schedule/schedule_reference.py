"""The slow, obvious reading of the rules, against which the module is checked.

It knows nothing of offsets before and after: it walks through real time in steps of 15 minutes (every
offset and every change of the years tested lies on a quarter of an hour) and looks at the wall clock.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from notifier.domain.schedule import Calendar
from notifier.domain.schedule.model import HORIZON

QUARTER = timedelta(minutes=15)
DAY = timedelta(days=1)


def dates(s: Calendar, start: date, end: date) -> Iterator[date]:
    """Local dates of the rule in [start, end], by asking each date."""
    day = start
    while day <= end:
        if _matches(s, day):
            yield day
        day += DAY


def slots(s: Calendar, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """Slots of (start, end], from looking at the wall clock every quarter of an hour."""
    seen: dict[datetime, list[datetime]] = {}
    now = start - 5 * DAY
    while now < end + 5 * DAY:
        seen.setdefault(now.astimezone(zone).replace(tzinfo=None, fold=0), []).append(now)
        now += QUARTER
    first, last = (start - 2 * DAY).date(), (end + 2 * DAY).date()
    walls = [datetime.combine(day, at) for day in dates(s, first, last) for at in s.times]
    found: list[datetime] = []
    real_later = HORIZON
    for wall in reversed(walls):
        shown = seen.get(wall, [])
        if shown:
            found += {"first": shown[:1], "second": shown[-1:], "both": shown}[s.dst.overlap]
            real_later = min(real_later, shown[0])
        elif s.dst.gap == "shift" and _shifted(wall, zone, seen) < real_later:
            found.append(_shifted(wall, zone, seen))
    inside = {slot for slot in found if start < slot <= end}
    return sorted(slot for slot in inside if (s.limits.start_at or start) <= slot <= (s.limits.end_at or end))


def _shifted(wall: datetime, zone: ZoneInfo, seen: dict[datetime, list[datetime]]) -> datetime:
    """Go back to the last wall time that was shown, then forward by the same time on a stopwatch."""
    shown = wall
    while shown not in seen:
        shown -= QUARTER
    return seen[shown][-1] + (wall - shown)


def _matches(s: Calendar, day: date) -> bool:
    start = s.start_date or date(1970, 1, 5)
    if s.start_date and day < s.start_date:
        return False
    if s.frequency == "daily":
        return (day - start).days % s.every == 0
    if s.frequency == "monthly":
        months = (day.year - start.year) * 12 + day.month - start.month
        return months % s.every == 0 and (_is_month_day(s, day) or _is_nth_weekday(s, day))
    monday = day - day.weekday() * DAY
    start_monday = start - start.weekday() * DAY
    return day.weekday() in s.weekdays and (monday - start_monday).days // 7 % s.every == 0


def _is_month_day(s: Calendar, day: date) -> bool:
    is_last = (day + DAY).month != day.month
    too_long = any(wanted > day.day for wanted in s.month_days) and s.month_day_policy == "clamp"
    return day.day in s.month_days or (is_last and (-1 in s.month_days or too_long))


def _is_nth_weekday(s: Calendar, day: date) -> bool:
    earlier = [n for n in range(1, day.day) if day.replace(day=n).weekday() == day.weekday()]
    is_last = (day + 7 * DAY).month != day.month
    nths = {len(earlier) + 1, -1} if is_last else {len(earlier) + 1}
    return any(nth in nths and weekday == day.weekday() for nth, weekday in s.nth_weekdays)


def utc(text: str) -> datetime:
    """`2027-03-28T09:00Z` as an instant."""
    return datetime.fromisoformat(text).astimezone(UTC)
