"""What the clock of a test project has to do next."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from notifier.storage.engine import Session

NEXT_EVENTS = text("""
SELECT least(
  (SELECT min(next_due_at) FROM notifications WHERE clock = :clock AND status = 'active'),
  (SELECT min(paused_until) FROM notifications
   WHERE clock = :clock AND status = 'paused' AND paused_until IS NOT NULL),
  (SELECT x.move_to FROM notification_exceptions AS x
   JOIN notifications AS n ON n.project_id = x.project_id AND n.id = x.notification_id
   WHERE x.clock = :clock AND x.planned_at IS NULL AND x.deleted_at IS NULL
     AND n.status IN ('active', 'completed')
   ORDER BY x.move_to LIMIT 1)
) AS plan_at,
(SELECT min(lease_expires_at) FROM deliveries
  WHERE clock = :clock AND status = 'sending' AND next_attempt_at IS NOT NULL) AS free_at,
(SELECT min(next_attempt_at) FROM deliveries
  WHERE clock = :clock AND status IN ('pending', 'retrying')) AS try_at
""")

WAITING = text("""
SELECT id FROM deliveries
WHERE clock = :clock AND status IN ('pending', 'retrying') AND next_attempt_at <= clock_now()
ORDER BY next_attempt_at, id
""")


async def next_events(session: Session) -> Row[Any]:
    """Return the instants (UTC, None for never) at which there is something to plan, to free or to try."""
    return (await session.execute(NEXT_EVENTS, {"clock": session.clock.id})).one()


async def waiting(session: Session) -> Sequence[UUID]:
    """Return the deliveries that are to be tried now, oldest first."""
    return (await session.execute(WAITING, {"clock": session.clock.id})).scalars().all()
