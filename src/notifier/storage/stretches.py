"""The walk over what is due, the longest due first: a stretch of so many deliveries at a time.

No index tells what is being sent from what waits to be (docs/decisions/0007-claims-touch-no-index.md), or
what is rung for from what is not. So all that is due is looked through, and what that costs must not grow
with it: who looks walks one stretch, and goes on behind it the next time.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, TextClause, Uuid, bindparam, text

from notifier.storage.engine import Session

LENGTH = 30_000
"""Deliveries in a stretch: some 15 ms of PostgreSQL for each statement that walks it."""

MOST = 2**31 - 1

# The order is that of the index: without it and the limit, PostgreSQL may prefer to read the whole ledger.
WALKED = """(
  SELECT project_id, id, notification_id, destination_id, trigger, status, attempts_made, start_by,
    expires_at, next_attempt_at, enqueued_at, enqueue_seq, lease_expires_at
  FROM deliveries
  WHERE clock = :clock AND next_attempt_at <= clock_now() AND (next_attempt_at, id) > (:after_at, :after_id)
  ORDER BY next_attempt_at, id
  LIMIT :length
)"""
"""What a statement made by `walking` reads from: the stretch, each row with what decisions need."""


def walking(statement: str) -> TextClause:
    """Return a statement that reads from `WALKED`."""
    after_at = bindparam("after_at", type_=DateTime(timezone=True))
    return text(statement).bindparams(after_at, bindparam("after_id", type_=Uuid))


END = walking(f"""
SELECT next_attempt_at AS at, id FROM {WALKED} AS walked ORDER BY next_attempt_at, id OFFSET :length - 1
""")


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the walk: behind the delivery that is due at this instant (UTC) and has this id."""

    at: datetime
    id: UUID


START = Mark(datetime.min.replace(tzinfo=UTC), UUID(int=0))


@dataclass(frozen=True, slots=True)
class Stretch:
    """So many due deliveries behind a mark; by default all that are due."""

    after: Mark = START
    length: int = MOST

    def bounds(self, session: Session) -> dict[str, Any]:
        """Return the parameters that `WALKED` needs."""
        return {
            "clock": session.clock.id,
            "after_at": self.after.at,
            "after_id": self.after.id,
            "length": self.length,
        }


ALL = Stretch()


async def end_of(session: Session, stretch: Stretch) -> Mark | None:
    """Return the mark at which the stretch ends, None if nothing is due behind it."""
    row = (await session.execute(END, stretch.bounds(session))).one_or_none()
    return row and Mark(row.at, row.id)
