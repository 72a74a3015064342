"""SQL of the destinations' health: since when every attempt fails, and for how many deliveries.

Kept in the statement that writes outcomes, and only where it changes: what goes well on a destination that is
well never writes the destination's row, on which all its deliveries would wait for one another.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, text

from notifier.storage.engine import Session

ENOUGH_DELIVERIES = 10
"""So many deliveries are counted: with fewer, a destination is not given up."""

# The receiver's fault, not that of the words, of our key, of our mail server or of a worker that died.
FAULT = """(NOT done.ours AND (done.outcome IN ('failed', 'timeout', 'connection_lost')
    OR done.verdict_reason IN ('recipient_rejected', 'address_blocked')))"""

FEEL = f"""felt AS (
  SELECT project_id, destination_id,
    bool_or(outcome = 'delivered') AS well, bool_or({FAULT}) AS fails,
    count(*) FILTER (WHERE {FAULT} AND number = 1) AS lost
  FROM done
  GROUP BY project_id, destination_id
), changed AS MATERIALIZED (
  SELECT t.project_id, t.id, felt.well, felt.lost
  FROM felt JOIN destinations AS t ON t.project_id = felt.project_id AND t.id = felt.destination_id
  WHERE t.blocked_at IS NULL AND CASE WHEN felt.well THEN t.failing_since IS NOT NULL
    ELSE felt.fails
      AND (t.failing_since IS NULL OR (felt.lost > 0 AND t.failed_deliveries < {ENOUGH_DELIVERIES})) END
  ORDER BY t.project_id, t.id
  FOR NO KEY UPDATE OF t
), health AS (
  UPDATE destinations AS t
  SET failing_since = CASE WHEN NOT changed.well THEN coalesce(t.failing_since, clock_now()) END,
      failed_deliveries = CASE WHEN changed.well THEN 0
        ELSE least(t.failed_deliveries + changed.lost, {ENOUGH_DELIVERIES}) END
  FROM changed
  WHERE t.project_id = changed.project_id AND t.id = changed.id
)"""
"""What the attempts in `done` tell of their destinations, which are locked in one order.

A delivery counts with its first attempt; where some arrived and some did not, the destination is well.
"""

WELL: dict[str, Any] = {"failing_since": None, "failed_deliveries": 0}
"""The columns of a destination of which nothing bad is known."""

FAILING = text("""
SELECT t.project_id, t.id, t.kind, t.name, t.failing_since
FROM destinations AS t JOIN projects AS p ON p.id = t.project_id
WHERE t.failing_since IS NOT NULL AND t.blocked_at IS NULL AND t.deleted_at IS NULL
  AND t.failing_since <= clock_now() - make_interval(secs => :patience) AND t.failed_deliveries >= :enough
  AND :clock = CASE WHEN p.mode = 'test' THEN p.id ELSE '00000000-0000-0000-0000-000000000000' END
ORDER BY t.failing_since
LIMIT :batch
FOR NO KEY UPDATE OF t SKIP LOCKED
""")


async def failing(session: Session, patience: timedelta, batch: int) -> Sequence[Row[Any]]:
    """Lock and return destinations at which everything has failed for so long, and often enough."""
    parameters = {
        "patience": patience.total_seconds(),
        "enough": ENOUGH_DELIVERIES,
        "clock": session.clock.id,
        "batch": batch,
    }
    return (await session.execute(FAILING, parameters)).all()
