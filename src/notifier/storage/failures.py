"""What the database's errors mean, and what of them may be read by whoever reads the log."""

import re

from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

AWAY = frozenset({"08", "28", "3D", "40", "53", "55", "57", "58", "XX"})
"""Classes of states in which the database cannot serve: lost or refused (08, 28, 3D), a deadlock or a lock
(40, 55), at its limits or being stopped (53 with a full disk, 57), failing itself (58, XX)."""

AWAY_STATES = frozenset({"25006", "25P03", "25P04", "42501", "42P01", "42703", "42883"})
"""Read-only; a transaction it ended for its age; no right to a table; a table, column or function that is not
there: it has another schema than this version needs, for our own statements are all tested."""

VALUES = re.compile(r"\n(?:DETAIL|HINT):.*|(query argument \$\d+|syntax for type [\w ]+): .*", re.S)


def is_away(error: DBAPIError) -> bool:
    """Say whether it is the database that fails, rather than a statement of ours.

    Without a state asyncpg itself gave up; a ValueError then is our bug.
    """
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return not isinstance(getattr(error.orig, "__cause__", None), ValueError)
    return error.connection_invalidated or state[:2] in AWAY or state in AWAY_STATES


def hide_values(context: ExceptionContext) -> None:
    """Cut users' values out of an error as it is raised: it will stand in a log. A listener of the engine."""
    original = context.original_exception
    for error in (context.sqlalchemy_exception, original, original.__cause__):
        if error is not None and error.args and isinstance(error.args[0], str):
            error.args = (VALUES.sub(r"\1", error.args[0]), *error.args[1:])
        if getattr(error, "detail", None) and isinstance(error.detail, str):  # type: ignore[union-attr]
            error.detail = None  # type: ignore[union-attr]
