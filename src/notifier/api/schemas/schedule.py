"""How a schedule is described in OpenAPI. What is valid is decided by `domain.schedule` alone."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

JSON = dict[str, Any]

INSTANT: JSON = {"type": "string", "format": "date-time", "description": "RFC 3339 with an offset."}
DATE: JSON = {"type": "string", "format": "date"}
TIMEZONE: JSON = {"type": "string", "description": "IANA name.", "examples": ["Europe/Berlin"]}
WEEKDAY: JSON = {"enum": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}
DURATION: JSON = {"type": "string", "description": "ISO 8601 duration.", "examples": ["PT2H"]}
DST: JSON = {
    "type": "object",
    "description": "What becomes of local times that do not exist, or exist twice.",
    "properties": {
        "gap": {"enum": ["shift", "skip"], "default": "shift"},
        "overlap": {"enum": ["first", "second", "both"], "default": "first"},
    },
    "additionalProperties": False,
}
MISSED: JSON = {
    "type": "object",
    "description": "What becomes of slots that passed unsent, because the service was down.",
    "properties": {
        "policy": {
            "enum": ["latest", "all", "skip"],
            "default": "latest",
            "description": "`latest`: the newest is sent. `all`: up to `max` of them. `skip`: none.",
        },
        "max": {"type": "integer", "minimum": 1, "maximum": 100, "default": 3},
        "grace": {**DURATION, "description": "How late a message may start; retries end at the next slot."},
    },
    "additionalProperties": False,
}
LIMITS: JSON = {
    "start_at": {**INSTANT, "description": "No slot is earlier; an interval is first due at it."},
    "end_at": {**INSTANT, "description": "No slot is later than this."},
    "max_occurrences": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
    "exclude_dates": {"type": "array", "items": DATE, "description": "Local dates on which nothing is sent."},
    "holidays": {
        "type": "string",
        "description": "Country, or a part of it, on whose public holidays nothing is sent.",
        "examples": ["DE/BY"],
    },
    "missed": MISSED,
}


def kind(name: str, description: str, required: list[str], properties: JSON) -> JSON:
    """Return the schema of one kind of schedule."""
    return {
        "title": name.capitalize(),
        "type": "object",
        "description": description,
        "properties": {"kind": {"const": name}, **properties},
        "required": ["kind", *required],
        "additionalProperties": False,
    }


INTERVAL = kind(
    "interval",
    "Elapsed time; daylight saving never changes it.",
    ["every"],
    {
        "every": {
            "type": "string",
            "description": "`daily` (24 h), `weekly` (7 x 24 h) or an ISO 8601 duration, a minute or more.",
            "examples": ["daily", "weekly", "PT6H"],
        },
        "anchor": {
            "enum": ["delivered", "grid"],
            "default": "delivered",
            "description": "`delivered`: due one period after the last delivery. `grid`: start + n periods.",
        },
        **LIMITS,
    },
)

CALENDAR = kind(
    "calendar",
    "Wall clock: the local times of a time zone, whatever its offset is on the day.",
    ["frequency", "times", "timezone"],
    {
        "frequency": {"enum": ["daily", "weekly", "monthly"]},
        "times": {
            "type": "array",
            "items": {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"},
            "minItems": 1,
            "maxItems": 24,
        },
        "weekdays": {"type": "array", "items": WEEKDAY, "minItems": 1, "description": "For weekly."},
        "month_days": {
            "type": "array",
            "items": {"type": "integer", "minimum": -1, "maximum": 31},
            "minItems": 1,
            "description": "For monthly: 1 to 31, -1 is the last day.",
        },
        "month_day_policy": {
            "enum": ["clamp", "skip"],
            "default": "clamp",
            "description": "What a day that a month lacks becomes: its last day, or nothing.",
        },
        "nth_weekdays": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"nth": {"enum": [1, 2, 3, 4, 5, -1]}, "weekday": WEEKDAY},
                "required": ["nth", "weekday"],
                "additionalProperties": False,
            },
            "minItems": 1,
            "description": "For monthly, instead of `month_days`.",
        },
        "every": {"type": "integer", "minimum": 1, "description": "Every N days, weeks or months."},
        "start_date": {**DATE, "description": "First local date; `every` counts from it."},
        "timezone": TIMEZONE,
        "dst": DST,
        **LIMITS,
    },
)

CRON = kind(
    "cron",
    "Wall clock: a cron expression of five fields (day of month OR day of week, as in Vixie's cron).",
    ["expression", "timezone"],
    {
        "expression": {"type": "string", "examples": ["30 8 * * 1-5"]},
        "timezone": TIMEZONE,
        "dst": DST,
        **LIMITS,
    },
)

RRULE = kind(
    "rrule",
    "Wall clock: a recurrence rule of RFC 5545; as the RFC has it, local times in a gap are dropped.",
    ["rrule", "dtstart", "timezone"],
    {
        "rrule": {"type": "string", "examples": ["FREQ=MONTHLY;BYDAY=-1FR"]},
        "dtstart": {"type": "string", "description": "Local time.", "examples": ["2026-11-27T09:00"]},
        "timezone": TIMEZONE,
        **LIMITS,
    },
)

ONCE = kind(
    "once",
    "A single slot; then the notification is completed.",
    ["at"],
    {
        "at": {
            "type": "string",
            "description": "An instant with an offset, or a local time with `timezone`.",
            "examples": ["2026-12-24T18:00:00Z", "2026-12-24T18:00"],
        },
        "timezone": TIMEZONE,
        "dst": DST,
        "missed": MISSED,
    },
)

SHORTHAND: JSON = {"title": "Shorthand", "enum": ["daily", "weekly"], "description": "An interval."}
KINDS = [INTERVAL, CALENDAR, CRON, RRULE, ONCE]

EXAMPLES = [
    "daily",
    {"kind": "interval", "every": "PT6H", "anchor": "grid"},
    {"kind": "calendar", "frequency": "daily", "times": ["09:00"], "timezone": "Europe/Berlin"},
    {
        "kind": "calendar",
        "frequency": "weekly",
        "weekdays": ["mon", "thu"],
        "times": ["08:30"],
        "timezone": "America/New_York",
        "holidays": "US",
    },
    {"kind": "cron", "expression": "30 8 * * 1-5", "timezone": "Europe/Berlin"},
]


def _with_nulls(kind: dict[str, Any]) -> dict[str, Any]:
    """Return the description of an object whose optional fields may also be null, which means absent."""
    required = kind.get("required", ())
    fields = {
        name: field if name in required else {"anyOf": [_with_nulls(field), {"type": "null"}]}
        for name, field in kind.get("properties", {}).items()
    }
    return {**kind, "properties": fields} if fields else kind


ScheduleIn = Annotated[
    Any,
    Field(examples=EXAMPLES, description="When to send: a schedule, or the shorthand `daily` or `weekly`."),
    WithJsonSchema({"anyOf": [SHORTHAND, *map(_with_nulls, KINDS)], "examples": EXAMPLES}),
]
ScheduleOut = Annotated[JSON, WithJsonSchema({"anyOf": KINDS})]
