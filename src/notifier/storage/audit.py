"""SQL of the auditor: six figures that are 0 in health. And how the service stands just now.

The first three are counted up to a limit, among what has been due longest: a million overdue rows cost no
more than twenty thousand. What is being sent is looked for there as well, so behind a longer backlog it is
not counted. The other figures look at the newest rows of the ledger, for no index of all of it is worth their
while: what breaks a promise shows there first.
"""

from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Uuid, bindparam, text

from notifier.clock import id_of_age
from notifier.storage.engine import Session
from notifier.storage.tables import LIVE

LATE_SECONDS = 120
"""How late something due may be before it is a finding."""

LEASE_GRACE_SECONDS = 30
"""How long the rescuer may need to break a lease that ran out."""

MOST_COUNTED = 10_000
MOST_WALKED = 20_000
"""Due deliveries looked at, those that have been due longest."""

NEWEST_SECONDS = 3600
NEWEST_OF_PROJECT = 500
NEWEST = 5_000
"""Deliveries looked at in one audit: of the last hour, the newest of each project, so many in all."""

WORKER = "worker:"
WORKER_ALIVE_SECONDS = 60

_NEWEST = """
newest AS MATERIALIZED (
  SELECT d.* FROM (SELECT id FROM projects WHERE mode = 'live' ORDER BY random()) AS p
  CROSS JOIN LATERAL (
    SELECT project_id, id, notification_id, destination_id, scheduled_for, trigger, status, reason,
      attempts_made
    FROM deliveries
    WHERE project_id = p.id AND id >= :since AND clock = :clock
    ORDER BY id DESC LIMIT :of_project
  ) AS d
  LIMIT :newest
)"""

# The order is that of the index: without it PostgreSQL may read the ledger until it has found enough.
_WALKED = """
walked AS MATERIALIZED (
  SELECT project_id, id, status, next_attempt_at, lease_expires_at FROM deliveries
  WHERE clock = :clock AND next_attempt_at <= now()
  ORDER BY next_attempt_at LIMIT :walked
)"""

# An attempt without an outcome belongs to a delivery that is being sent, or something was lost: those being
# sent are found by their leases, of the others the newest are looked at. Each is looked up by itself, with a
# subquery that counts: what PostgreSQL can turn into a join, it joins with the whole ledger.
AUDIT = text(f"""
WITH {_WALKED}, {_NEWEST}
SELECT
  (SELECT count(*) FROM (
    SELECT FROM notifications
    WHERE clock = :clock AND status = 'active' AND next_due_at <= now() - make_interval(secs => :late)
    ORDER BY next_due_at LIMIT :most) AS found) AS overdue_notifications,
  (SELECT least(count(*), :most) FROM walked WHERE status IN ('pending', 'retrying')
    AND next_attempt_at <= now() - make_interval(secs => :late)) AS overdue_deliveries,
  (SELECT least(count(*), :most) FROM walked WHERE status = 'sending'
    AND lease_expires_at <= now() - make_interval(secs => :lease_grace)) AS expired_leases,
  (SELECT count(*) FROM newest AS n WHERE n.trigger = 'schedule' AND (
    SELECT count(*) FROM deliveries AS d
    WHERE d.project_id = n.project_id AND d.notification_id = n.notification_id
      AND d.destination_id = n.destination_id AND d.scheduled_for = n.scheduled_for
      AND d.trigger = 'schedule') > 1) AS duplicate_slots,
  (SELECT count(*) FROM newest AS n
    WHERE (n.status = 'delivered' OR n.status = 'failed' AND n.reason IS DISTINCT FROM 'planning_error')
      AND (SELECT count(*) FROM attempts AS a
        WHERE a.project_id = n.project_id AND a.delivery_id = n.id) = 0) AS ended_without_attempt,
  (SELECT coalesce(sum((
      SELECT count(*) FROM attempts AS a
      WHERE a.project_id = d.project_id AND a.delivery_id = d.id AND a.outcome IS NULL
        AND a.started_at <= now() - make_interval(secs => 2 * :lease))), 0)::int
    FROM (
      SELECT project_id, id FROM newest WHERE status <> 'sending' AND attempts_made > 0
      UNION ALL
      (SELECT project_id, id FROM walked WHERE status = 'sending' LIMIT :most)
    ) AS d) AS attempts_without_outcome
""").bindparams(bindparam("since", type_=Uuid), bindparam("clock", type_=Uuid))

STANDING = text(f"""
WITH {_WALKED}
SELECT
  (SELECT extract(epoch FROM now() - beat_at)::float8 FROM heartbeats WHERE name = 'scheduler')
    AS seconds_since_sweep,
  (SELECT count(*) FROM heartbeats
    WHERE starts_with(name, :worker) AND beat_at > now() - make_interval(secs => :alive)) AS workers,
  coalesce((SELECT extract(epoch FROM now() - min(next_due_at))::float8 FROM notifications
    WHERE clock = :clock AND status = 'active' AND next_due_at <= now()), 0) AS oldest_due_seconds,
  coalesce((SELECT extract(epoch FROM now() - min(next_attempt_at))::float8 FROM walked
    WHERE status IN ('pending', 'retrying')), 0) AS oldest_waiting_seconds,
  (SELECT least(count(*), :most) FROM walked WHERE status IN ('pending', 'retrying')) AS deliveries_due,
  (SELECT count(*) FROM (SELECT FROM deliveries
    WHERE clock = :clock AND status IN ('pending', 'retrying') AND next_attempt_at > now()
    ORDER BY next_attempt_at LIMIT :most) AS found) AS deliveries_to_come,
  (SELECT count(*) FROM walked WHERE status = 'sending') AS deliveries_sending
""").bindparams(bindparam("clock", type_=Uuid))

# Of several schedulers one takes each turn.
TAKE_TURN = text("""
INSERT INTO heartbeats AS h (name, beat_at) VALUES (:name, now())
ON CONFLICT (name) DO UPDATE SET beat_at = excluded.beat_at
WHERE h.beat_at <= now() - make_interval(secs => :every)
RETURNING name
""")

FORGET_BEATS = text(
    "DELETE FROM heartbeats WHERE starts_with(name, :worker) AND beat_at < now() - interval '1 day'"
)
FORGET_BEAT = text("DELETE FROM heartbeats WHERE name = :name")


@dataclass(frozen=True, slots=True)
class Audit:
    """How many there are of what there should be none of.

    The first three are counted up to 10,000, leases among the 20,000 deliveries that have been due longest.
    """

    overdue_notifications: int
    overdue_deliveries: int
    expired_leases: int
    duplicate_slots: int
    ended_without_attempt: int
    attempts_without_outcome: int

    def figures(self) -> dict[str, int]:
        """Return the figures by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class Standing:
    """How the service stands: seconds, and counts.

    Of what waits up to 10,000; what is being sent, among the 20,000 deliveries that have been due longest.
    """

    seconds_since_sweep: float | None
    workers: int
    oldest_due_seconds: float
    oldest_waiting_seconds: float
    deliveries_due: int
    deliveries_to_come: int
    deliveries_sending: int

    @property
    def lag_seconds(self) -> float:
        """How late the latest thing is: planned too late, or sent too late."""
        return max(self.oldest_due_seconds, self.oldest_waiting_seconds)


async def audit(session: Session, lease: float) -> Audit:
    """Count what should not be there; `lease` is how many seconds a worker may hold a delivery."""
    parameters = {
        "clock": LIVE,
        "late": LATE_SECONDS,
        "lease_grace": LEASE_GRACE_SECONDS,
        "lease": lease,
        "most": MOST_COUNTED,
        "walked": MOST_WALKED,
        "since": id_of_age(NEWEST_SECONDS),
        "of_project": NEWEST_OF_PROJECT,
        "newest": NEWEST,
    }
    return Audit(**_only_row(await session.execute(AUDIT, parameters)))


async def standing(session: Session) -> Standing:
    """Return how the service stands."""
    parameters = {
        "clock": LIVE,
        "worker": WORKER,
        "alive": WORKER_ALIVE_SECONDS,
        "most": MOST_COUNTED,
        "walked": MOST_WALKED,
    }
    return Standing(**_only_row(await session.execute(STANDING, parameters)))


async def take_turn(session: Session, name: str, every: float) -> bool:
    """Say whether it is this caller's turn: at most one has it in `every` seconds."""
    return (await session.execute(TAKE_TURN, {"name": name, "every": every})).scalar_one_or_none() is not None


async def forget_beat(session: Session, name: str) -> None:
    """Drop the beat of a process that ends, and those of workers that are long dead."""
    await session.execute(FORGET_BEAT, {"name": name})
    await session.execute(FORGET_BEATS, {"worker": WORKER})


def _only_row(result: Any) -> dict[str, Any]:
    return dict(result.one()._mapping)
