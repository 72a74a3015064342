"""How a schedule is described in OpenAPI. What is valid is decided by `domain.schedule` alone."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

INSTANT = {"type": "string", "format": "date-time", "description": "RFC 3339 with an offset."}

INTERVAL: dict[str, Any] = {
    "title": "Interval",
    "type": "object",
    "description": "Elapsed time; daylight saving never changes it.",
    "properties": {
        "kind": {"const": "interval"},
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
        "start_at": {**INSTANT, "description": "When it is first due; else one period after now."},
        "end_at": {**INSTANT, "description": "No slot is later than this."},
    },
    "required": ["kind", "every"],
    "additionalProperties": False,
}

CALENDAR: dict[str, Any] = {
    "title": "Calendar",
    "type": "object",
    "description": "Wall clock: the local times of a time zone, whatever its offset is on the day.",
    "properties": {
        "kind": {"const": "calendar"},
        "frequency": {"enum": ["daily", "weekly"]},
        "times": {
            "type": "array",
            "items": {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"},
            "minItems": 1,
            "maxItems": 24,
        },
        "weekdays": {
            "type": "array",
            "items": {"enum": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]},
            "minItems": 1,
        },
        "every": {"type": "integer", "minimum": 1, "description": "Every N days or weeks from `start_date`."},
        "start_date": {"type": "string", "format": "date"},
        "timezone": {"type": "string", "description": "IANA name.", "examples": ["Europe/Berlin"]},
        "dst": {
            "type": "object",
            "description": "What becomes of local times that do not exist, or exist twice.",
            "properties": {
                "gap": {"enum": ["shift", "skip"], "default": "shift"},
                "overlap": {"enum": ["first", "second", "both"], "default": "first"},
            },
            "additionalProperties": False,
        },
        "start_at": INSTANT,
        "end_at": INSTANT,
    },
    "required": ["kind", "frequency", "times", "timezone"],
    "additionalProperties": False,
}

SHORTHAND = {"title": "Shorthand", "enum": ["daily", "weekly"], "description": "An interval."}

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
    },
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
    WithJsonSchema(
        {"anyOf": [SHORTHAND, _with_nulls(INTERVAL), _with_nulls(CALENDAR)], "examples": EXAMPLES}
    ),
]
ScheduleOut = Annotated[dict[str, Any], WithJsonSchema({"anyOf": [INTERVAL, CALENDAR]})]
