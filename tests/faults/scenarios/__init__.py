"""All scenarios. A new one is a file here, with an act and its forms, and a line below."""

from tests.faults.scenario import Scenario
from tests.faults.scenarios import (
    deadly_message,
    frozen_worker,
    hostile_receivers,
    killed_at_failpoints,
    killed_workers,
    mail_hang_ups,
    many_planners,
    one_of_two_workers,
    restarted_database,
    server_away,
    stepped_clocks,
    stopped_in_turn,
)

SCENARIOS: tuple[Scenario, ...] = (
    *killed_at_failpoints.SCENARIOS,
    *killed_workers.SCENARIOS,
    *deadly_message.SCENARIOS,
    *one_of_two_workers.SCENARIOS,
    *restarted_database.SCENARIOS,
    *stopped_in_turn.SCENARIOS,
    *frozen_worker.SCENARIOS,
    *many_planners.SCENARIOS,
    *server_away.SCENARIOS,
    *stepped_clocks.SCENARIOS,
    *hostile_receivers.SCENARIOS,
    *mail_hang_ups.SCENARIOS,
)
