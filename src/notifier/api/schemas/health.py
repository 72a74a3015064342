"""The shapes of the health checks."""

from typing import Literal

from pydantic import Field

from notifier.api.schemas.common import Output


class Alive(Output):
    """The process answers."""

    status: Literal["ok"]


class Checks(Output):
    """How each part is."""

    database: str = Field(
        description="`ok`, `unavailable`, or `wrong schema: ` with what it has, what is needed, what to do."
    )
    redis: Literal["ok", "unavailable"]
    scheduler: Literal["ok", "no recent sweep"]


class Readiness(Output):
    """Whether requests can be served."""

    status: Literal["ready", "degraded", "unavailable"]
    checks: Checks
    seconds_since_sweep: float | None = Field(description="Since the scheduler last looked for what is due.")
