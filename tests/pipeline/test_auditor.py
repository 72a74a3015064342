"""The auditor finds what there should be none of, and finds nothing where all is well."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from notifier.pipeline import auditor
from notifier.storage import audit
from notifier.storage.audit import Audit
from tests.house import House, bulk_due

LEASE = 75.0
NOTHING = dict.fromkeys(auditor.ADVICE, 0)


async def look(house: House) -> dict[str, int]:
    return (await auditor.look(house.database, LEASE)).figures()


async def deliver_some(house: House, count: int = 3) -> None:
    """Have notifications planned and sent."""
    await bulk_due(house, count)
    await house.plan()
    for row in await house.deliveries():
        await house.send(row)


async def test_every_figure_has_an_advice() -> None:
    assert list(Audit(0, 0, 0, 0, 0, 0).figures()) == list(auditor.ADVICE)


async def test_in_health_every_figure_is_0(house: House) -> None:
    assert await look(house) == NOTHING
    await deliver_some(house)
    await house.create_due()
    await house.plan()  # waits, not yet late
    await house.create()  # due tomorrow
    await house.create_due("60 seconds")  # not late enough
    assert await look(house) == NOTHING


async def due_and_not_planned(house: House) -> None:
    await house.create_due("121 seconds")


async def rung_and_not_sent(house: House) -> None:
    await house.plan_one()
    await house.sql("UPDATE deliveries SET next_attempt_at = now() - interval '121 seconds'")


async def held_by_the_dead(house: House) -> None:
    await house.plan_one()
    await house.sql(
        "UPDATE deliveries SET status = 'sending', lease_token = gen_random_uuid(),"
        " lease_expires_at = now() - interval '31 seconds'"
    )


async def planned_twice(house: House) -> None:
    """Write a slot a second time, as only a database without its unique index lets us."""
    await deliver_some(house, 2)
    await house.sql("DROP INDEX uq_deliveries_slot")
    await house.sql("CREATE TABLE second AS SELECT * FROM deliveries LIMIT 1")
    await house.sql("UPDATE second SET id = uuidv7(), status = 'canceled'")
    await house.sql("ALTER TABLE second DROP COLUMN open_end")  # the last one; it is generated
    await house.sql("INSERT INTO deliveries SELECT * FROM second")


async def delivered_by_nobody(house: House) -> None:
    await deliver_some(house)
    await house.sql(
        "DELETE FROM attempts WHERE delivery_id = (SELECT min(delivery_id::text)::uuid FROM attempts)"
    )


async def failed_without_a_try(house: House) -> None:
    await house.plan_one()
    await house.sql(
        "UPDATE deliveries SET status = 'failed', reason = 'retries_exhausted', finished_at = now(),"
        " next_attempt_at = NULL"
    )


async def never_recorded(house: House) -> None:
    """Leave an attempt open whose delivery went on."""
    await deliver_some(house, 1)
    await house.sql("UPDATE attempts SET outcome = NULL, started_at = now() - interval '151 seconds'")


async def sent_for_too_long(house: House) -> None:
    """Leave an attempt open under a lease that was never broken."""
    await held_by_the_dead(house)
    await house.sql(
        "INSERT INTO attempts (project_id, delivery_id, number, started_at)"
        " SELECT project_id, id, 1, now() - interval '151 seconds' FROM deliveries"
    )


@pytest.mark.parametrize(
    ("ail", "found"),
    [
        (due_and_not_planned, {"overdue_notifications": 1}),
        (rung_and_not_sent, {"overdue_deliveries": 1}),
        (held_by_the_dead, {"expired_leases": 1}),
        (planned_twice, {"duplicate_slots": 2}),
        (delivered_by_nobody, {"ended_without_attempt": 1}),
        (failed_without_a_try, {"ended_without_attempt": 1}),
        (never_recorded, {"attempts_without_outcome": 1}),
        (sent_for_too_long, {"attempts_without_outcome": 1, "expired_leases": 1}),
    ],
)
async def test_what_ails_is_found(house: House, ail: Any, found: dict[str, int]) -> None:
    await ail(house)
    assert await look(house) == NOTHING | found


@pytest.mark.parametrize("column", ["paused_at", "completed_at", "blocked_at"])
async def test_what_is_not_to_be_sent_is_not_late(house: House, column: str) -> None:
    await due_and_not_planned(house)
    await house.sql(f"UPDATE notifications SET {column} = now()")
    assert await look(house) == NOTHING


async def test_the_clock_of_a_test_project_is_no_concern_of_the_auditor(house: House) -> None:
    await rung_and_not_sent(house)
    await due_and_not_planned(house)
    for table in ("notifications", "deliveries"):
        await house.sql(f"UPDATE {table} SET clock = gen_random_uuid()")
    assert await look(house) == NOTHING


async def test_what_could_not_be_planned_needs_no_attempt(house: House) -> None:
    await house.plan_one()
    await house.sql(
        "UPDATE deliveries SET status = 'failed', reason = 'planning_error', finished_at = now(),"
        " next_attempt_at = NULL"
    )
    assert await look(house) == NOTHING


async def test_counting_ends_at_a_limit(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST_COUNTED", 3)
    await bulk_due(house, 5, ago="10 minutes")
    assert (await look(house))["overdue_notifications"] == 3


async def test_a_finding_is_logged_once_a_minute_however_many_schedulers_there_are(house: House) -> None:
    await never_recorded(house)
    await due_and_not_planned(house)
    with capture_logs() as lines:
        audits = [await auditor.run(house.database, LEASE) for _ in range(3)]
    assert [one is not None for one in audits] == [True, False, False]
    assert [(line["event"], line["log_level"], line["figure"], line["count"]) for line in lines] == [
        ("audit.finding", "error", "overdue_notifications", 1),
        ("audit.finding", "critical", "attempts_without_outcome", 1),
    ]
    assert all(line["do"] == auditor.ADVICE[line["figure"]] for line in lines)
    await house.sql("UPDATE heartbeats SET beat_at = beat_at - interval '60 seconds'")
    with capture_logs() as lines:
        assert await auditor.run(house.database, LEASE) is not None
    assert len(lines) == 2


async def test_where_all_is_well_nothing_is_logged(house: House) -> None:
    with capture_logs() as lines:
        assert await auditor.run(house.database, LEASE) == Audit(0, 0, 0, 0, 0, 0)
    assert lines == []
