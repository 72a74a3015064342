"""The places where a test can end the process."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import notifier
from notifier import failpoints
from notifier.settings import Settings
from tests.faults.receiver import ROOT

SOURCE = Path(notifier.__file__).parent


def reached() -> set[str]:
    """Return the places that the service's code goes past."""
    calls = [node for path in SOURCE.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    names = [ast.unparse(one.args[0]) for one in calls if isinstance(one, ast.Call) and _is_reach(one)]
    return {getattr(failpoints, name.removeprefix("failpoints.")) for name in names}


def _is_reach(call: ast.Call) -> bool:
    return ast.unparse(call.func) == "failpoints.reach"


def test_each_place_stands_somewhere_in_the_engine() -> None:
    assert reached() == set(failpoints.NAMES)


def test_nothing_in_the_service_arms_them() -> None:
    users = [path for path in SOURCE.rglob("*.py") if "failpoints.arm" in path.read_text()]
    assert users == []
    assert not any("fail" in name for name in Settings.model_fields)


@pytest.mark.parametrize("nth", [1, 3])
def test_an_armed_process_ends_when_the_place_is_reached_for_the_nth_time(nth: int) -> None:
    source = (
        "from notifier import failpoints\n"
        "from tests.faults.armed import killer\n"
        f"failpoints.arm(killer('after_claim', {nth}))\n"
        "for number in range(1, 5):\n"
        "    failpoints.reach('after_outcome')\n"
        "    print(number, flush=True)\n"
        "    failpoints.reach('after_claim')\n"
    )
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -9
    assert done.stdout.split() == [str(number).encode() for number in range(1, nth + 1)]


def test_an_unarmed_process_goes_past_them() -> None:
    for name in failpoints.NAMES:
        failpoints.reach(name)
