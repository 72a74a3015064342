"""`python -m benchmarks [PART ...]`: measure all parts, or those that are named."""

import argparse
from pathlib import Path

from benchmarks import report
from benchmarks.parts import PARTS, Run
from benchmarks.results import RESULTS


def main() -> None:
    """Measure part after part; what was not asked for keeps its figures."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(part.name for part in PARTS))
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it works")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is kept (default: 3)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the figures go")
    given = parser.parse_args()
    unknown = set(given.parts) - {part.name for part in PARTS}
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    run = Run(given.quick, 1 if given.quick else given.rounds, given.results)
    for part in PARTS:
        if part.name in given.parts or (not given.parts and not part.on_request):
            run.say(f"--- {part.name}: {part.says}")
            part.measure(run)
    if run.results == RESULTS and not run.quick:
        report.write()
        report.draw()


if __name__ == "__main__":
    main()
