"""`notifier doctor`: says how the service is, and what to do."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from notifier.cli.failures import FAILED, WRONGLY_CALLED, check_settings, fail
from notifier.cli.up import DATA_DIR

if TYPE_CHECKING:
    from notifier.cli.checkup import Finding
    from notifier.settings import Settings

JSON = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
COLOURS = {"ok": typer.colors.GREEN, "warn": typer.colors.YELLOW, "fail": typer.colors.RED}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(as_json: JSON = False, data_dir: DATA_DIR = Path(".notifier")) -> None:
    """Check database, schema, clock, Redis, scheduler, workers, promises; exit with 1 if anything is wrong.

    Looks where NOTIFIER_DATABASE_URL and NOTIFIER_REDIS_URL say; without them, at the `notifier up` that runs
    on the data folder.
    """
    import asyncio
    import json

    from notifier.settings import Settings

    given = _of_folder(data_dir)
    check_settings(**given)
    findings = asyncio.run(_examine(Settings(**given), data_dir if given else None, as_json))
    failed = any(one.verdict == "fail" for one in findings)
    if as_json:
        shown = [{"name": f.name, "verdict": f.verdict, "said": f.said, "do": f.do} for f in findings]
        typer.echo(json.dumps({"healthy": not failed, "checks": shown}, indent=2))
    raise typer.Exit(FAILED if failed else 0)


async def _examine(settings: "Settings", data_dir: Path | None, as_json: bool) -> "list[Finding]":
    """Return the findings; without `as_json` show each as it comes."""
    from contextlib import aclosing

    from notifier.cli import checkup

    findings = []
    # closed at once when nobody reads on: left to the end of the loop, its connections would fail loudly
    async with aclosing(checkup.examine(settings, data_dir)) as found:
        async for finding in found:
            findings.append(finding)
            if not as_json:
                _show(finding)
    return findings


def _show(finding: "Finding") -> None:
    verdict = typer.style(f"{finding.verdict:<5}", fg=COLOURS[finding.verdict], bold=True)
    typer.echo(f"{verdict} {finding.name:<12} {finding.said}")
    if finding.do:
        typer.echo(f"{'':18} -> {finding.do}")


def _of_folder(data_dir: Path) -> dict[str, Any]:
    """Return what a running `notifier up` on this folder knows and the environment does not say."""
    from notifier.embedded.environment import Environment
    from notifier.embedded.running import settings_of

    environment = Environment()
    try:
        given = settings_of(data_dir, environment)
    except OSError as error:
        fail(f"cannot read the data folder {data_dir}: {error.strerror}")
    if not given and not environment.gives("DATABASE_URL"):
        hint = "start one with `make run`, or set NOTIFIER_DATABASE_URL and NOTIFIER_REDIS_URL"
        fail(f"no `notifier up` runs on {data_dir}: {hint}", WRONGLY_CALLED)
    return given
