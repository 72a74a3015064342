"""What the clock of a test project has to do next."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from notifier.storage.engine import Session

NEXT_EVENT = text("""
SELECT least(
  (SELECT min(next_due_at) FROM notifications WHERE clock = :clock AND status = 'active'),
  (SELECT min(paused_until) FROM notifications
   WHERE clock = :clock AND status = 'paused' AND paused_until IS NOT NULL),
  (SELECT min(lease_expires_at) FROM deliveries WHERE clock = :clock AND status = 'sending'),
  (SELECT min(x.move_to) FROM notification_exceptions AS x
   JOIN notifications AS n ON n.project_id = x.project_id AND n.id = x.notification_id
   WHERE x.clock = :clock AND x.planned_at IS NULL AND x.deleted_at IS NULL
     AND n.status IN ('active', 'completed')),
  (SELECT min(next_attempt_at) FROM deliveries WHERE clock = :clock AND status IN ('pending', 'retrying'))
)
""")

WAITING = text("""
SELECT id FROM deliveries
WHERE clock = :clock AND status IN ('pending', 'retrying') AND next_attempt_at <= clock_now()
ORDER BY next_attempt_at, id
""")


async def next_event(session: Session) -> datetime | None:
    """Return the instant (UTC) at which there is something to do, None if there never is."""
    found: datetime | None = (await session.execute(NEXT_EVENT, {"clock": session.clock.id})).scalar_one()
    return found


async def waiting(session: Session) -> Sequence[UUID]:
    """Return the deliveries that are to be tried now, oldest first."""
    return (await session.execute(WAITING, {"clock": session.clock.id})).scalars().all()
