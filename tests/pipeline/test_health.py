"""When a destination counts as failing, when it is given up, and what brings it back; time passed in."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Row

from notifier.domain.delivery import AttemptOutcome, Outcome, Reason
from notifier.pipeline import health, rescuer
from notifier.rendering import language
from notifier.services import destinations
from tests.house import PROJECT, House
from tests.pipeline.conftest import Begin
from tests.pipeline.timeline import Timeline, shown, utc

FAILED = Outcome(AttemptOutcome.FAILED, 500, "HTTP 500")
HOURLY = {"kind": "interval", "every": "PT1H", "anchor": "grid"}
STATE = "failing_since, failed_deliveries, blocked_reason"


class Failing(Timeline):
    """A project with one hourly notification to one destination, and a puppet that does as it is told."""

    async def hours(self, count: int, outcome: Outcome = FAILED) -> None:
        """Let that many slots come due, one an hour; what waits is tried once, with this outcome."""
        for _ in range(count):
            self.now += timedelta(hours=1)
            await self.set_clock(self.now.strftime("%Y-%m-%dT%H:%M"))
            await rescuer.expire(self.database)
            await self.sweep()
            for row in await self.rows():
                if row.status == "pending":
                    self.house.puppet.script.append(outcome)
                    await self.deliver(row)

    async def state(self) -> tuple[str | None, int, str | None]:
        """Return since when the destination fails, for how many deliveries, and why it is blocked."""
        (row,) = await self.sql(
            f"SELECT {STATE} FROM destinations WHERE project_id = :id", id=self.project_id
        )
        return shown(row.failing_since), row.failed_deliveries, row.blocked_reason

    async def judge(self, at: str) -> int:
        """Look for destinations to give up at an instant."""
        await self.set_clock(at)
        return await health.run(self.database)


@pytest.fixture
async def failing(house: House) -> Failing:
    timeline = Failing(house, utc("2027-01-01T00:00"))
    await timeline.open()
    await timeline.create(HOURLY)
    return timeline


async def test_the_first_failure_starts_the_clock_and_others_leave_it(failing: Failing) -> None:
    await failing.hours(1)
    assert await failing.state() == ("2027-01-01T01:00", 1, None)
    await failing.hours(3)
    assert await failing.state() == ("2027-01-01T01:00", 4, None)


async def test_one_success_makes_it_well(failing: Failing) -> None:
    await failing.hours(12)
    await failing.hours(1, Outcome.delivered(200))
    assert await failing.state() == (None, 0, None)
    await failing.hours(1)
    assert await failing.state() == ("2027-01-01T14:00", 1, None)


async def test_deliveries_are_counted_no_further_than_it_matters(failing: Failing) -> None:
    await failing.hours(12)
    assert await failing.state() == ("2027-01-01T01:00", 10, None)


async def versions(failing: Failing) -> tuple[str, str]:
    """Return what changes with each write of the destination's row."""
    (row,) = await failing.sql(
        "SELECT xmin::text AS xmin, ctid::text AS ctid FROM destinations WHERE project_id = :id",
        id=failing.project_id,
    )
    return row.xmin, row.ctid


async def test_a_success_on_a_healthy_destination_does_not_write_its_row(failing: Failing) -> None:
    before = await versions(failing)
    await failing.hours(3, Outcome.delivered(200))
    assert await versions(failing) == before


async def test_nor_does_a_failure_that_tells_nothing_new(failing: Failing) -> None:
    await failing.hours(10)
    before = await versions(failing)
    await failing.hours(3)
    assert await versions(failing) == before


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [
        (FAILED, True),
        (Outcome(AttemptOutcome.TIMEOUT), True),
        (Outcome(AttemptOutcome.CONNECTION_LOST), True),
        (Outcome.rejected(Reason.RECIPIENT_REJECTED, "no such user", 550), True),
        (Outcome.rejected(Reason.ADDRESS_BLOCKED, "private"), True),
        # not the receiver's fault
        (Outcome.rejected(Reason.TEMPLATE_ERROR, "line 1"), False),
        (Outcome.rejected(Reason.DECRYPTION_ERROR, "other key"), False),
        (Outcome(AttemptOutcome.UNKNOWN, error="internal error"), False),
        (Outcome(AttemptOutcome.FAILED, error="the template takes too long", ours=True), False),
        (Outcome(AttemptOutcome.TIMEOUT, error="our mail server hangs", ours=True), False),
    ],
    ids=str,
)
async def test_only_what_is_the_receivers_fault_counts(
    failing: Failing, outcome: Outcome, counts: bool
) -> None:
    await failing.hours(1, outcome)
    assert await failing.state() == (("2027-01-01T01:00", 1, None) if counts else (None, 0, None))


async def test_words_that_are_slow_and_errors_of_our_own_do_not_count(
    failing: Failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language, "CPU_LIMIT", 0.0)
    slow = "{% for i in (1..1000) %}{% for j in (1..10) %}{{ i }}{% endfor %}{% endfor %}"
    await failing.sql("UPDATE notification_revisions SET body = :body", body=slow)
    await failing.hours(1)
    # as no version of the service writes it
    await failing.sql("UPDATE notification_revisions SET body = '', data = '[]'")
    await failing.hours(1)
    errors = await failing.sql("SELECT error FROM attempts ORDER BY started_at")
    assert [one.error[:14] for one in errors] == ["the template t", "internal error"]
    assert await failing.state() == (None, 0, None)


async def test_another_try_of_the_same_delivery_is_no_other_delivery(failing: Failing) -> None:
    await failing.hours(1)
    (row,) = await failing.rows()
    await failing.set_clock("2027-01-01T01:30")
    failing.house.puppet.script.append(FAILED)
    await failing.deliver(row)
    assert [one.attempts_made for one in await failing.rows()] == [2]
    assert await failing.state() == ("2027-01-01T01:00", 1, None)


@pytest.mark.parametrize(
    ("failures", "at", "blocked"),
    [
        (10, "2027-01-06T01:00", 1),  # failing since 01-01 01:00: five days, ten deliveries
        (10, "2027-01-06T00:59", 0),  # a minute less
        (9, "2027-01-06T01:00", 0),  # one delivery less
        (9, "2027-02-06T01:00", 0),  # however long
        (20, "2027-01-09T01:00", 1),
    ],
)
async def test_after_five_days_and_ten_deliveries_it_is_given_up(
    failing: Failing, failures: int, at: str, blocked: int
) -> None:
    await failing.hours(failures)
    assert await failing.judge(at) == blocked
    assert (await failing.state())[2] == ("failing" if blocked else None)
    assert await failing.judge(at) == 0


async def test_five_days_are_counted_from_the_last_success(failing: Failing) -> None:
    await failing.hours(12)
    await failing.hours(1, Outcome.delivered(200))
    await failing.hours(12)
    assert await failing.judge("2027-01-06T13:59") == 0  # failing since 14:00 of the first
    assert await failing.judge("2027-01-06T14:00") == 1


async def due(failing: Failing, at: str) -> Sequence[Row]:
    """Plan what is due at an instant; return what waits."""
    await failing.sweep(at)
    await rescuer.expire(failing.database)
    return [row for row in await failing.rows() if row.status in ("pending", "retrying", "held")]


async def enable(failing: Failing, **changes: object) -> None:
    async with failing.context() as ctx:
        (row,) = await failing.sql(
            "SELECT id FROM destinations WHERE project_id = :id", id=failing.project_id
        )
        await destinations.update(ctx, str(row.id), {"status": "active", **changes}, revision=None)


async def test_what_waits_and_what_comes_due_is_held_until_it_is_enabled_again(failing: Failing) -> None:
    await failing.hours(12)
    await failing.judge("2027-01-06T12:30")
    waiting = await due(failing, "2027-01-06T14:00")
    assert waiting
    assert {row.status for row in waiting} == {"held"}
    for row in waiting:
        await failing.deliver(row)
    assert not [one for one in failing.house.puppet.sent if one.sent_at > utc("2027-01-06T00:00")]

    await enable(failing)
    assert await failing.state() == (None, 0, None)
    for row in await failing.rows():
        if row.status == "pending":
            await failing.deliver(row)
    assert {row.id for row in await failing.rows() if row.status == "delivered"} == {
        row.id for row in waiting
    }


async def test_once_enabled_it_has_five_days_again(failing: Failing) -> None:
    await failing.hours(12)
    await failing.judge("2027-01-06T12:30")
    await enable(failing)
    failing.now = utc("2027-01-06T13:00")
    await failing.hours(12)
    assert await failing.state() == ("2027-01-06T14:00", 10, None)
    assert await failing.judge("2027-01-11T13:59") == 0
    assert await failing.judge("2027-01-11T14:00") == 1


async def test_another_address_starts_anew(failing: Failing) -> None:
    await failing.hours(12)
    async with failing.context() as ctx:
        (row,) = await failing.sql(
            "SELECT id FROM destinations WHERE project_id = :id", id=failing.project_id
        )
        await destinations.update(ctx, str(row.id), {"config": {"name": "b"}}, revision=None)
    assert await failing.state() == (None, 0, None)


async def test_each_clock_gives_up_its_own_destinations_only(failing: Failing, begin: Begin) -> None:
    await failing.hours(12)
    other = await begin("2028-01-01T00:00")
    assert await health.run(other.database) == 0
    assert await health.run(failing.house.database) == 0


async def fail_and_succeed(house: House, *outcomes: Outcome) -> None:
    """Send as many deliveries of one destination at once, so that one statement writes all outcomes."""
    for _ in outcomes:
        await house.create_due(to=["puppet:a"])
    await house.plan()
    house.puppet.script.extend(outcomes)
    await asyncio.gather(
        *(house.deliverer.deliver(PROJECT, UUID(str(row.id))) for row in await house.deliveries())
    )


async def test_where_some_of_one_batch_arrived_it_is_well(house: House) -> None:
    await fail_and_succeed(house, FAILED, Outcome.delivered(), FAILED)
    row = await house.one(f"SELECT {STATE} FROM destinations")
    assert (row.failing_since, row.failed_deliveries) == (None, 0)


async def test_deliveries_of_one_batch_count_one_each(house: House) -> None:
    await fail_and_succeed(house, FAILED, FAILED, FAILED)
    row = await house.one(f"SELECT {STATE} FROM destinations")
    assert (row.failing_since is not None, row.failed_deliveries) == (True, 3)
