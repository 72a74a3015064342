"""The queries that run all day find their rows by an index, and no connection waits for ever."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.dialects import postgresql

from notifier.storage import (
    audit,
    claims,
    occurrences,
    outcomes,
    pauses,
    planning,
    rehearsals,
    replays,
    rescue,
    retention,
    stretches,
    waiting,
)
from notifier.storage.engine import Database
from notifier.storage.tables import LIVE
from tests.storage.filled import filled_database

PROJECT = "00000000-0000-0000-0000-000000000001"
ROWS = 20_000
# A long-lived service: nearly all notifications are due later, nearly all deliveries have ended.
FILL = f"""
INSERT INTO projects (id, name, mode) VALUES ('{PROJECT}', 'p', 'live');
INSERT INTO destinations (project_id, id, kind, name, config, fingerprint, updated_at)
SELECT '{PROJECT}', gen_random_uuid(), 'log', 'log', '{{}}', 'log:' || n, now() FROM generate_series(1, 50) n;
INSERT INTO notifications
  (project_id, id, title, body, data, schedule, anchor_at, next_due_at, paused_at, paused_until, external_id,
   updated_at)
SELECT '{PROJECT}', gen_random_uuid(), 't', '', '{{}}', '{{}}', now(),
  now() + (n - 20) * interval '1 minute', CASE WHEN n % 2 = 0 THEN now() END,
  CASE WHEN n % 2 = 0 THEN now() + (n - 20) * interval '1 minute' END, 'x' || n, now()
FROM generate_series(1, {ROWS}) n;
INSERT INTO notification_revisions
  (project_id, notification_id, revision, title, body, data, schedule, changed_by)
SELECT project_id, id, 1, title, body, data, schedule, 'test' FROM notifications;
INSERT INTO notification_exceptions (project_id, id, notification_id, slot_at, action, move_to, planned_at)
SELECT project_id, gen_random_uuid(), id, next_due_at, 'move', next_due_at + interval '1 hour',
  CASE WHEN random() < 0.9 THEN now() END
FROM notifications;
INSERT INTO deliveries (project_id, id, notification_id, revision, destination_id, trigger, scheduled_for,
  message_id, status, next_attempt_at, lease_token, lease_expires_at)
SELECT '{PROJECT}', gen_random_uuid(), ns.id, 1, ds.id, 'manual', now(), 'm',
  CASE WHEN ns.nr % 500 = 0 THEN 'pending' WHEN ns.nr % 500 = 1 THEN 'sending' ELSE 'delivered' END,
  CASE WHEN ns.nr % 500 < 2 THEN now() END,
  CASE WHEN ns.nr % 500 = 1 THEN gen_random_uuid() END,
  CASE WHEN ns.nr % 500 = 1 THEN now() END
FROM (SELECT id, row_number() OVER () AS nr FROM notifications) ns
JOIN (SELECT id, row_number() OVER () AS nr FROM destinations) ds ON ds.nr = ns.nr % 50 + 1;
"""
AUDITED = {
    "clock": LIVE,
    "late": 120,
    "lease_grace": 30,
    "lease": 75.0,
    "most": 10_000,
    "walked": 20_000,
    "since": UUID(int=0xFF << 120),
    "of_project": 500,
    "newest": 5000,
}
OF_PROJECT = f"project_id = '{PROJECT}'"
LEDGER = f"SELECT id FROM deliveries WHERE {OF_PROJECT} AND {{}} = '{UUID(int=7)}' ORDER BY id DESC LIMIT 51"


WAITS = f"{OF_PROJECT} AND open_end ="
NOTIFICATIONS = f"SELECT id FROM notifications WHERE {OF_PROJECT}"


MANY = 500
IDS = {"project_ids": [UUID(PROJECT)] * MANY, "ids": [UUID(int=number) for number in range(MANY)]}
CLAIMED = {**IDS, "token": IDS["ids"][0], "clock": LIVE, "lease": 75.0, "alone": False}
KEYS = list(zip(*IDS.values(), strict=True))
ENDED = outcomes.GIVEN.parameters([(place, *key, *[None] * 10) for place, key in enumerate(KEYS)])
MOVED = planning.MOVES.parameters([(*key, *[None] * 4) for key in KEYS])
# each with a slot of its own, as intervals have that follow their deliveries
NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)
SLOTS = [(1, NOON + timedelta(seconds=number)) for number in range(MANY)]
ALL_MOVED = planning.MOVES.parameters([(*key, *slot, None, 1) for key, slot in zip(KEYS, SLOTS, strict=True)])
ALL_NEW = planning.NEW.parameters(
    [
        (*key, key[1], UUID(int=7), "m", *slot, None, None, "pending", None, 1, None, None)
        for key, slot in zip(KEYS, SLOTS, strict=True)
    ]
)
TO = {"project_id": UUID(PROJECT), "destination_id": UUID(int=7)}
HELD = {"after": UUID(int=0), "batch": 10_000}
WALK = {
    "clock": LIVE,
    "after_at": datetime(1, 1, 1, tzinfo=UTC),
    "after_id": UUID(int=0),
    "length": stretches.LENGTH,
}
OLD = {"days": 90, "first_kept": UUID(int=1 << 120), "live": LIVE, "batch": 1000}


@pytest.fixture(scope="module")
async def filled(postgres_url: str, template: str) -> AsyncIterator[Database]:
    """Yield a database with many rows."""
    async with filled_database(postgres_url, template, FILL) as database:
        yield database


@pytest.mark.parametrize(
    ("query", "parameters", "index"),
    [
        (planning.TAKE_DUE, {"batch": 1000, "clock": LIVE}, "ix_notifications_due"),
        (planning.TAKE_MOVED, {"batch": 1000, "clock": LIVE}, "ix_notification_exceptions_moved"),
        (planning.HOLD_OVERDUE, WALK, "ix_deliveries_waiting"),
        (planning.MOVE_ON, MOVED, "pk_notifications"),
        (planning.MOVE_ON, ALL_MOVED, "pk_notifications"),
        (planning.WRITTEN, IDS, "pk_deliveries"),
        (claims.CLAIM, CLAIMED, "pk_deliveries"),
        (claims.SUSPECTS, {**IDS, "clock": LIVE}, "pk_deliveries"),
        (outcomes.FINISH, ENDED, "pk_deliveries"),
        (outcomes.ABSORB, ENDED, "pk_deliveries"),
        (waiting.HOLD_WAITING, TO | {"most": 20_000}, "ix_deliveries_of_destination"),
        (waiting.CANCEL_WAITING, TO | {"most": 20_000}, "ix_deliveries_of_destination"),
        (waiting.CANCEL_HELD, TO | HELD, "ix_deliveries_open_ends"),
        (waiting.RELEASE_HELD, TO | HELD, "ix_deliveries_open_ends"),
        (pauses.OVER, {"batch": 100, "clock": LIVE}, "ix_notifications_paused_until"),
        (occurrences.EXPIRE, WALK | {"batch": 1000}, "ix_deliveries_waiting"),
        (rehearsals.NEXT_EVENTS, {"clock": LIVE}, "ix_notifications_paused_until"),
        (rehearsals.WAITING, {"clock": LIVE}, "ix_deliveries_waiting"),
        (stretches.END, WALK, "ix_deliveries_waiting"),
        (rescue.BREAK_LEASES, WALK | {"batch": 1000, "most": 3}, "ix_deliveries_waiting"),
        (rescue.SETTLE, WALK | {"batch": 1000}, "ix_deliveries_waiting"),
        (rescue.EXPIRE, WALK | {"batch": 1000}, "ix_deliveries_waiting"),
        (rescue.UNRUNG, WALK | {"patience": 30, "newest": 10_000}, "ix_deliveries_waiting"),
        (
            retention.DELETE_DELIVERIES,
            {
                "project_id": UUID(PROJECT),
                "after": UUID(int=0),
                "first_kept": UUID(int=1 << 120),
                "days": 90,
                "live": LIVE,
                "batch": 1000,
            },
            "pk_deliveries",
        ),
        (audit.AUDIT, AUDITED, "ix_deliveries_waiting"),
        (audit.AUDIT, AUDITED, "ix_notifications_due"),
        (
            audit.STANDING,
            {"clock": LIVE, "worker": "w", "alive": 60, "most": 9, "walked": 9},
            "ix_deliveries_waiting",
        ),
        (
            audit.STANDING,
            {"clock": LIVE, "worker": "w", "alive": 60, "most": 9, "walked": 9},
            "ix_notifications_due",
        ),
        (text(LEDGER.format("notification_id")), {}, "ix_deliveries_of_notification"),
        (text(LEDGER.format("destination_id")), {}, "ix_deliveries_of_destination"),
        (text(LEDGER.format("replay_of")), {}, "ix_deliveries_replays"),
        (text(f"UPDATE deliveries SET reason = 'r' WHERE {WAITS} 'held'"), {}, "ix_deliveries_open_ends"),
        (text(f"UPDATE deliveries SET reason = 'r' WHERE {WAITS} 'unknown'"), {}, "ix_deliveries_open_ends"),
        (retention.PROJECTS, {"first_kept": UUID(int=1 << 120)}, "pk_deliveries"),
        (retention.DELETE_REVISIONS, OLD, "ix_notification_revisions_replaced"),
        (retention.DELETE_EXCEPTIONS, OLD, "ix_notification_exceptions_slot_at"),
        (retention.DELETE_TOMBSTONES, OLD, "ix_notifications_deleted"),
        (
            text(f"{NOTIFICATIONS} ORDER BY id DESC LIMIT 51"),
            {},
            "pk_notifications",
        ),
        (
            text(f"SELECT id FROM deliveries WHERE {OF_PROJECT} ORDER BY id DESC LIMIT 51"),
            {},
            "pk_deliveries",
        ),
        (
            text(f"{NOTIFICATIONS} AND external_id = 'x7' AND deleted_at IS NULL"),
            {},
            "uq_notifications_external_id",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_query_uses_its_index(
    filled: Database, query: TextClause, parameters: dict, index: str
) -> None:
    async with filled.transaction() as session:
        asked = text(f"EXPLAIN {query.text}").bindparams(*query._bindparams.values())
        plan = "\n".join(row[0] for row in await session.execute(asked, parameters))
    assert index in plan, plan
    assert "Seq Scan on notifications" not in plan, plan
    assert "Seq Scan on deliveries" not in plan, plan
    assert "Seq Scan on notification_exceptions" not in plan, plan
    # an SQL function that is not inlined would be asked for every row
    assert "clock_now()" not in plan, plan


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        (planning.ADD_SLOTS, ALL_NEW | {"clock": LIVE}),
        (planning.MOVE_ON, ALL_MOVED),
        (outcomes.FINISH, ENDED),
    ],
    ids=["add", "move", "finish"],
)
async def test_rows_that_share_nothing_do_not_look_through_one_another(
    filled: Database, query: TextClause, parameters: dict
) -> None:
    async with filled.transaction() as session:
        asked = text(f"EXPLAIN {query.text}").bindparams(*query._bindparams.values())
        plan = "\n".join(row[0] for row in await session.execute(asked, parameters))
    assert "Hash Cond: (one.of_kind = kind.nth)" in plan, plan


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"status": "failed"}, "ix_deliveries_open_ends"),
        ({"notification_id": UUID(int=7)}, "ix_deliveries_of_notification"),
        ({"destination_id": UUID(int=7), "status": "delivered"}, "ix_deliveries_of_destination"),
        ({"ids": [UUID(int=7)]}, "pk_deliveries"),
    ],
    ids=str,
)
async def test_what_is_to_be_sent_again_is_found_by_an_index(
    filled: Database, filters: dict, index: str
) -> None:
    query = replays.chosen(UUID(PROJECT), filters, after=None, most=10_001)
    written = str(query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))
    async with filled.transaction() as session:
        plan = "\n".join(row[0] for row in await session.execute(text(f"EXPLAIN {written}")))
    assert index in plan, plan
    assert "Seq Scan on deliveries" not in plan, plan


async def test_the_replays_of_many_are_found_in_one_pass_over_an_index(filled: Database) -> None:
    parameters = {"project_id": UUID(PROJECT), "originals": [UUID(int=number) for number in range(100)]}
    async with filled.transaction() as session:
        asked = text(f"EXPLAIN {replays.NEWEST.text}").bindparams(replays.ORIGINALS)
        plan = "\n".join(row[0] for row in await session.execute(asked, parameters))
    assert "ix_deliveries_replays" in plan, plan
    assert plan.count("deliveries ") == 1, plan


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("statement_timeout", "15s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "15s"),
        ("TimeZone", "UTC"),
    ],
)
async def test_no_connection_waits_for_ever(filled: Database, setting: str, value: str) -> None:
    async with filled.transaction() as session:
        assert (await session.execute(text(f"SHOW {setting}"))).scalar_one() == value
