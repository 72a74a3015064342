"""A destination's own waits, from the API's field to the ledger; and what a real receiver asks for."""

from collections.abc import Sequence

import pytest

from notifier.domain.delivery import AttemptOutcome, Outcome
from notifier.services import destinations
from tests.house import House, open_house
from tests.receivers import Answer, http_receiver

FAILED = Outcome(AttemptOutcome.FAILED, 500)


async def destination(house: House, schedule: Sequence[int] | None) -> str:
    async with house.context() as ctx:
        row, _ = await destinations.create(
            ctx, kind="puppet", name=None, config={"name": "a"}, secret=None, retry_schedule=schedule
        )
    return str(row.id)


async def wait_of(house: House) -> float:
    """Return the seconds from the newest attempt to the next."""
    row = await house.one(
        "SELECT extract(epoch FROM d.next_attempt_at - max(a.started_at))::float8 AS seconds"
        " FROM deliveries AS d JOIN attempts AS a ON a.delivery_id = d.id GROUP BY d.id, d.next_attempt_at"
    )
    return float(row.seconds)


@pytest.mark.parametrize(
    ("schedule", "low", "high"),
    [
        ([1000, 5000], 800, 1200),  # 1000 +- 20 %
        ([60], 48, 72),  # 60 +- 20 %
        (None, 4, 6),  # the service's own: 5 +- 20 %
    ],
)
async def test_the_first_wait_is_the_destinations_own(
    house: House, schedule: list[int] | None, low: float, high: float
) -> None:
    house.puppet.script.append(FAILED)
    await house.plan_one(to=[await destination(house, schedule)])
    assert (await house.send()).status == "retrying"
    slack = 30  # the attempt itself takes a moment, on a busy machine
    assert low <= await wait_of(house) <= high + slack


@pytest.mark.parametrize("schedule", [[], [60], [60, 120]])
async def test_after_its_last_wait_a_delivery_has_failed(house: House, schedule: list[int]) -> None:
    house.puppet.script.extend([FAILED] * 5)
    await house.plan_one(to=[await destination(house, schedule)])
    for _ in schedule:
        assert (await house.send()).status == "retrying"
        await house.sql("UPDATE deliveries SET next_attempt_at = now()")
    ended = await house.send()
    assert (ended.status, ended.reason, ended.attempts_made) == (
        "failed", "retries_exhausted", len(schedule) + 1,
    )  # fmt: skip


async def test_a_new_schedule_holds_from_the_next_attempt(house: House) -> None:
    house.puppet.script.extend([FAILED, FAILED])
    to = await destination(house, [60, 120, 180])
    await house.plan_one(to=[to])
    await house.send()
    async with house.context() as ctx:
        await destinations.update(ctx, to, {"retry_schedule": [60]}, revision=None)
    await house.sql("UPDATE deliveries SET next_attempt_at = now()")
    assert (await house.send()).reason == "retries_exhausted"


@pytest.mark.parametrize(
    ("answer", "least"),
    [
        (Answer(429), 60),
        (Answer(503), 60),
        (Answer(503, {"retry-after": "300"}), 300),
        (Answer(500, {"retry-after": "120"}), 120),
        (Answer(500, {"retry-after": "9" * 4000}), 6 * 3600),
        (Answer(500), 0.8),  # 1 - 20 %
    ],
    ids=str,
)
async def test_what_a_receiver_asks_for_is_not_undercut(
    database_url: str, redis_url: str, answer: Answer, least: float
) -> None:
    more = {"allow_private_destinations": "127.0.0.0/8", "retry_schedule": "1"}
    async with open_house(database_url, redis_url, **more) as house, http_receiver() as receiver:
        receiver.always = answer
        await house.plan_one(to=[receiver.url])
        assert (await house.send()).status == "retrying"
        assert least <= await wait_of(house) <= least + 60
