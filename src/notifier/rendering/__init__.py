"""User templates: what they may say, and how they become the words of a message."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from liquid.exceptions import LiquidError

from notifier.domain.errors import FieldProblem, InvalidInput
from notifier.rendering.language import (
    BODY_LIMIT,
    DATA_LIMIT,
    TemplateFailed,
    TemplateSlow,
    compile_template,
    weight,
)

__all__ = [
    "BODY_LIMIT",
    "TITLE_LIMIT",
    "TemplateFailed",
    "TemplateSlow",
    "context",
    "render",
    "render_title",
    "validate",
]

TITLE_LIMIT = 200
"""Characters of a rendered title; longer ones are cut."""

RESERVED = frozenset({"slot", "notification"})
"""Names that templates get from the service; `data` may not use them."""


def context(
    data: Mapping[str, Any],
    *,
    slot: datetime,
    late_by: timedelta = timedelta(0),
    notification_id: UUID | None = None,
    external_id: str | None = None,
) -> dict[str, Any]:
    """Return what a template sees: the keys of `data`, `slot` and `notification`.

    `slot` is aware, in the zone of its schedule, whose date and time are the local ones.
    """
    described = {**_describe(slot, str(slot.tzinfo), slot.fold), "late_by": int(late_by.total_seconds())}
    notification = {"id": str(notification_id) if notification_id else None, "external_id": external_id}
    return {**data, "slot": described, "notification": notification}


@lru_cache(maxsize=256)
def _describe(slot: datetime, timezone: str, fold: int) -> Mapping[str, str]:  # noqa: ARG001
    """Return the words of a slot, which many notifications share; Python finds some of them equal."""
    return {
        "at": slot.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "local_date": slot.date().isoformat(),
        "local_time": slot.strftime("%H:%M"),
        "timezone": timezone,
    }


def render(source: str, context: Mapping[str, Any]) -> str:
    """Return the rendered text, at most `BODY_LIMIT` bytes; raises TemplateFailed."""
    if "{{" not in source and "{%" not in source:
        return source
    try:
        return compile_template(source).render(context)
    except TemplateFailed:
        raise
    except Exception as error:
        # The library lets OverflowError, RecursionError and their like through; all are the template's.
        raise TemplateFailed(_explain(error)) from error


def render_title(source: str, context: Mapping[str, Any]) -> str:
    """Return the rendered title on one line, cut to `TITLE_LIMIT` characters; raises TemplateFailed."""
    title = " ".join(render(source, context).split())
    return title if len(title) <= TITLE_LIMIT else title[: TITLE_LIMIT - 1].rstrip() + "…"


def validate(title: str, body: str, data: Mapping[str, Any], *, slot: datetime) -> None:
    """Render both templates once with the real data; raises InvalidInput naming /title, /body or /data.

    `slot` is any instant, in the zone of the schedule.
    """
    problems = [
        FieldProblem(f"/data/{key}", "reserved_key", "This key is taken: templates get it by themselves.")
        for key in sorted(RESERVED & data.keys())
    ]
    if weight(data, DATA_LIMIT) > DATA_LIMIT:
        problems.append(FieldProblem("/data", "too_large", "This holds too much."))
    names = context(data, slot=slot)
    for pointer, source, renderer in (("/title", title, render_title), ("/body", body, render)):
        try:
            renderer(source, names)
        except TemplateFailed as error:
            problems.append(FieldProblem(pointer, "invalid_template", str(error)))
    if problems:
        raise InvalidInput(problems)


def _explain(error: Exception) -> str:
    if not isinstance(error, LiquidError):
        return f"The template cannot be rendered ({type(error).__name__})."
    line = error.token.source.count("\n", 0, error.token.start_index) + 1 if error.token else None
    return f"line {line}: {error.message}" if line else str(error.message)
