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
    redis: str = Field(
        description="`ok`, `unavailable`, or what is wrong: `full`, `nearly full`, `read-only`, "
        "`refuses writes`, `wrong eviction policy`, each with more after a colon."
    )
    scheduler: Literal["ok", "no recent sweep"]
    worker: Literal["ok", "none alive", "unknown"]
    queue: Literal["ok", "lagging", "unknown"] = Field(
        description="`lagging` if something due for over two minutes was not planned or not sent."
    )


class Readiness(Output):
    """Whether requests can be served."""

    status: Literal["ready", "degraded", "unavailable"] = Field(
        description="`degraded`: requests are served, but messages may go out late; `checks` say why."
    )
    checks: Checks
    seconds_since_sweep: float | None = Field(description="Since the scheduler last looked for what is due.")
    lag_seconds: float | None = Field(description="How late the latest thing is that is due; 0 if none is.")
    workers: int | None = Field(description="How many workers are alive.")
