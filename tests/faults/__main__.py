"""Plays the full form: `python -m tests.faults`, or with words the scenarios whose names hold one of them.

Each scenario runs in a process of its own, some beside one another, for they mostly wait. With `--write` the
table goes into the page about guarantees.
"""

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from random import SystemRandom
from shutil import rmtree

from notifier.clock import monotonic, utc_now
from tests.faults.page import write
from tests.faults.result import Result, table
from tests.faults.scenario import FULL_LEASE, Scenario
from tests.faults.scenarios import SCENARIOS

FULL = {one.name: one for one in SCENARIOS if one.full is not None}


def main() -> int:
    """Play what is asked for; return 1 if a promise was broken."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave nothing behind, whoever ends it
    given = _arguments()
    if given.play:
        return asyncio.run(_play(FULL[given.play], given.seed))
    print(f"seed {given.seed}, leases of {FULL_LEASE:g} s", flush=True)
    names = [name for name in FULL if not given.words or any(word in name for word in given.words)]
    started = monotonic()
    results = asyncio.run(_play_all(names, given))
    print(f"\n{table(results)}\n\n{(monotonic() - started) / 60:.0f} minutes")
    if given.write and len(results) == len(FULL):
        write(table(results), utc_now(), f"make faults SEED={given.seed}")
    faults = [fault for one in results for fault in _broken(one)]
    print(*faults, sep="\n")
    return int(bool(faults) or len(results) < len(names))


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    parser.add_argument("--beside", type=int, default=3, help="how many scenarios run at once")
    parser.add_argument("--write", action="store_true", help="write the table into docs/guarantees.md")
    parser.add_argument("--play", choices=FULL, help="play one here, and print what came of it as JSON")
    return parser.parse_args()


async def _play(scenario: Scenario, seed: int) -> int:
    """Play one scenario; its folder remains if it fails."""
    folder = Path(tempfile.mkdtemp(prefix="notifier-faults-"))
    assert scenario.full is not None
    try:
        result = await scenario.play(scenario.full, folder, lease=FULL_LEASE, seed=seed)
    except BaseException:
        print(f"see {folder}", file=sys.stderr)
        raise
    print(json.dumps(asdict(result)))
    rmtree(folder)
    return 0


async def _play_all(names: Sequence[str], given: Namespace) -> list[Result]:
    places = asyncio.Semaphore(given.beside)

    async def play(name: str) -> Result | None:
        async with places:
            return await _apart(name, given.seed)

    found = await asyncio.gather(*(play(name) for name in names))
    return [one for one in found if one is not None]


async def _apart(name: str, seed: int) -> Result | None:
    """Play one scenario in a process of its own; None if it came to no end."""
    argv = (sys.executable, "-m", "tests.faults", "--play", name, "--seed", str(seed))
    process = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE)
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    if process.returncode:
        print(f"{name}: came to no end", flush=True)
        return None
    result = Result(**json.loads(out))
    print(f"{name}: {', '.join(_broken(result)) or 'kept'}", flush=True)
    return result


def _broken(result: Result) -> Iterator[str]:
    scenario = FULL[result.scenario]
    limit = scenario.drain_limit(FULL_LEASE)
    for fault in result.broken(doubles_allowed=scenario.doubles_allowed, drain_limit=limit):
        yield f"{result.scenario}: {fault}"


if __name__ == "__main__":
    sys.exit(main())
