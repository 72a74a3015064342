"""The quick form of the fault suite; `make faults` runs the full one."""

from pathlib import Path
from random import SystemRandom

import pytest

from tests.faults.scenario import QUICK_LEASE, Scenario
from tests.faults.scenarios import SCENARIOS

QUICK = [one for one in SCENARIOS if one.quick is not None]


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", QUICK, ids=lambda one: one.name.replace(" ", "-"))
async def test_nothing_is_lost_and_every_second_receipt_is_explained(
    scenario: Scenario, tmp_path: Path
) -> None:
    seed = SystemRandom().randrange(10**6)
    print("seed", seed)  # noqa: T201 - pytest shows it when the test fails
    assert scenario.quick is not None
    result = await scenario.play(scenario.quick, tmp_path, lease=QUICK_LEASE, seed=seed)
    assert list(result.broken(doubles_allowed=scenario.doubles_allowed)) == [], result
