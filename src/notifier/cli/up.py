"""`notifier up`: the whole service in one terminal."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from notifier.cli.failures import fail

if TYPE_CHECKING:
    from notifier.embedded.environment import Environment
    from notifier.embedded.folder import DataFolder

HOST = Annotated[str, typer.Option(envvar="NOTIFIER_HOST", help="Address to listen on.")]
PORT = Annotated[int, typer.Option(envvar="NOTIFIER_PORT", min=1, max=65535, help="Port to listen on.")]
DATA_DIR = Annotated[Path, typer.Option(envvar="NOTIFIER_DATA_DIR", help="Folder that keeps all data.")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(up)


def up(host: HOST = "127.0.0.1", port: PORT = 8000, data_dir: DATA_DIR = Path(".notifier")) -> None:
    """Run everything here: PostgreSQL and Valkey (unless URLs are given), API, scheduler, worker."""
    from notifier.embedded.environment import Environment
    from notifier.embedded.errors import ChildFailedError, StartError
    from notifier.embedded.service import Service

    environment = Environment()
    screen = Screen(host, port, data_dir, environment)
    try:
        Service(data_dir, host, port, screen, environment).run()
    except ChildFailedError as error:
        screen.quote(error.last_lines)
        fail(str(error))
    except StartError as error:
        fail(str(error))
    finally:
        screen.quiet()
    screen.say("Stopped. All data is kept.")


class Screen:
    """The terminal while the service runs."""

    def __init__(self, host: str, port: int, data_dir: Path, environment: "Environment") -> None:
        from rich.console import Console

        self._console = Console(highlight=False, soft_wrap=True)
        self._status = self._console.status("Starting")
        self._host, self._port = host, port
        self._data_dir = data_dir
        self._environment = environment
        self._ready = False

    def step(self, what: str) -> None:
        """Show what the start is busy with."""
        self._status.start()
        self._status.update(f"{what} ...")

    def quiet(self) -> None:
        """Show nothing any more of what is going on."""
        self._status.stop()

    def say(self, line: str) -> None:
        """Show one line of news."""
        self._console.print(line, markup=False)

    def quote(self, lines: list[str]) -> None:
        """Show the last lines of a log."""
        self.quiet()
        for line in lines:
            self._console.print("  " + line, markup=False, style="dim")

    def stopping(self) -> None:
        """Show that the end has begun; in a file, too, unless it was a start that failed."""
        what = "Stopping; the worker finishes what it is sending (Ctrl-C again to hurry)"
        if self._ready and not self._console.is_terminal:
            self.say(what)
        else:
            self.step(what)

    def ready(self, folder: "DataFolder") -> None:
        """Show where everything is and the first thing to try."""
        from notifier.embedded.checks import address

        self.quiet()
        self._ready = True
        page = address(self._host, self._port)
        self._console.print("[bold green]notifier is ready.[/]  Ctrl-C stops it; all data is kept.\n")
        for name, value in (
            ("Page", page + "/"),
            ("API key", self._key_file() or "NOTIFIER_BOOTSTRAP_API_KEY"),
            ("Data, logs", str(folder.path)),
        ):
            self._console.print(f"  {name:<12}{value}", markup=False)
        self._console.print("\nThe first notification (due now, to the log; told of here within a minute):\n")
        self._console.print(self._curl(page), markup=False)
        self._console.print()

    def _key_file(self) -> str | None:
        given = self._environment.gives("BOOTSTRAP_API_KEY")
        return self._environment.file_of("BOOTSTRAP_API_KEY") if given else str(self._data_dir / "api-key")

    def _key(self) -> str:
        path = self._key_file()
        return f"$(cat {quote(path)})" if path else "$NOTIFIER_BOOTSTRAP_API_KEY"

    def _curl(self, page: str) -> str:
        return (
            f'curl -sS {page}/v1/notifications -H "Authorization: Bearer {self._key()}" '
            """-H 'Content-Type: application/json' -d '{"title": "Water the plants", "schedule": "daily", """
            """"start_at": "'$(date -u +%Y-%m-%dT%H:%M:%SZ)'"}'"""
        )
