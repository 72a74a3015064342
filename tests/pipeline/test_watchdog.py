"""A long sweep shows that it gets on; the watchdog itself is tested where processes are."""

from notifier.pipeline import planner
from notifier.pipeline.watchdog import Pulse
from tests.house import House, bulk_due


async def test_a_sweep_shows_after_each_batch_that_it_gets_on(house: House) -> None:
    pulse, seen = Pulse(0.0), []

    def beat() -> None:
        pulse.beat()
        seen.append(pulse.at)

    await bulk_due(house, 5)
    await planner.sweep(house.database, house.queue, batch=2, after_batch=beat)
    assert len(seen) == 3  # 2, 2 and 1
    assert seen == sorted(seen)
    assert seen[0] > 0
