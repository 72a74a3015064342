"""The commands. Each imports what it needs when it runs, so that `--help` is quick."""

from typing import Annotated

import typer

from notifier import __version__
from notifier.cli import doctor, importing, processes, up

app = typer.Typer(
    name="notifier",
    help="Recurring notifications, delivered when due and accounted for.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"notifier {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Recurring notifications, delivered when due and accounted for."""


up.add_to(app)
processes.add_to(app)
doctor.add_to(app)
importing.add_to(app)
