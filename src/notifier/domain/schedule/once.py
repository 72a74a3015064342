"""A single slot, given as an instant or as a local time in a zone."""

import re
from datetime import datetime
from typing import Any

from notifier.domain.schedule import calendar, limits, walltime, zones
from notifier.domain.schedule.interval import JUST_NOW
from notifier.domain.schedule.model import Dst, Limits, Once
from notifier.domain.schedule.parsing import Fields, choice, instant, local_time, typed, write_instant

_HAS_OFFSET = re.compile(r".*(?:[Zz]|[+-][0-9]{2}:[0-9]{2})", re.DOTALL)


def parse(value: object) -> Once:
    """Read a once object; raises InvalidInput."""
    fields = Fields(value)
    fields.take("kind", choice(["once"]))
    at = fields.take("at", _at)
    timezone = fields.take("timezone", calendar.timezone, None)
    dst = fields.take("dst", calendar.dst, None)
    limited = Limits(missed=limits.take_missed(fields))
    fields.finish()
    if at.tzinfo:
        for name, given in (("timezone", timezone), ("dst", dst)):
            if given:
                fields.refuse(name, "not_allowed", "This goes with a local time; `at` has an offset.")
        fields.check()
        return Once(at, limits=limited)
    if not timezone:
        fields.refuse("timezone", "missing", "This is required as `at` has no offset from UTC.")
    if dst and dst.overlap == "both":
        fields.refuse("dst", "not_allowed", "A single slot cannot come at both readings of its local time.")
    fields.check()
    return Once(None, at, timezone or "UTC", dst or Dst(), limited)


def to_json(s: Once) -> dict[str, Any]:
    """Return the canonical object."""
    if s.at:
        return {"kind": "once", "at": write_instant(s.at), **limits.to_json(s.limits)}
    return {
        "kind": "once",
        "at": s.wall.isoformat() if s.wall else None,
        "timezone": s.timezone,
        "dst": {"gap": s.dst.gap, "overlap": s.dst.overlap},
        **limits.to_json(s.limits),
    }


def slot(s: Once) -> datetime | None:
    """Return the instant, UTC, or None if its local time is missing and the policy skips it."""
    if not s.wall:
        return s.at
    found = walltime.readings(s.wall, zones.load(s.timezone), s.dst)
    return found[0].at if found else None


def first_slot(s: Once, now: datetime) -> datetime | None:
    """Return the slot unless it lies in the past, where a few minutes do not count."""
    return next_slot(s, now - JUST_NOW)


def next_slot(s: Once, after: datetime) -> datetime | None:
    """Return the slot if it comes after `after`."""
    at = slot(s)
    return at if at and at > after else None


def _at(value: object) -> datetime:
    return instant(value) if _HAS_OFFSET.fullmatch(typed(value, str)) else local_time(value)
