"""Named places in the engine where a test can end the process. Nothing in the service arms them.

They stand between two steps that a crash could tear apart; `tests/faults` ends the process at each of them.
"""

from collections.abc import Callable

AFTER_INSERT = "after_insert"
"""The slots of a batch are written, the notifications not yet moved on; nothing is committed."""

AFTER_COMMIT = "after_commit"
"""A batch is committed, and not yet rung for."""

MID_BATCH = "mid_batch"
"""A part of the jobs of a batch is rung for."""

AFTER_PICK_UP = "after_pick_up"
"""A worker has taken a job, and not yet claimed its delivery."""

AFTER_CLAIM = "after_claim"
"""A delivery is claimed, and nothing has left."""

REQUEST_LEFT = "request_left"
"""The request is being written to the receiver."""

BEFORE_OUTCOME = "before_outcome"
"""The receiver has answered, and the ledger does not know."""

AFTER_OUTCOME = "after_outcome"
"""The outcome is committed, the job not yet ended."""

IN_RESCUE = "in_rescue"
"""Leases are broken, not yet committed; or new rings are counted, and not yet rung."""

NAMES = (
    AFTER_INSERT,
    AFTER_COMMIT,
    MID_BATCH,
    AFTER_PICK_UP,
    AFTER_CLAIM,
    REQUEST_LEFT,
    BEFORE_OUTCOME,
    AFTER_OUTCOME,
    IN_RESCUE,
)

_armed: Callable[[str], None] | None = None


def reach(name: str) -> None:
    """Do what was armed, as a rule nothing."""
    if _armed is not None:
        _armed(name)


def arm(act: Callable[[str], None]) -> None:
    """Have `act` called with the name of each place that is reached from now on; for tests."""
    global _armed  # noqa: PLW0603 - one per process, like the process that it ends
    _armed = act
