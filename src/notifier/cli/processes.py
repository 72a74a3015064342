"""One process each, for compose and Kubernetes: api, worker, scheduler, migrate."""

import gc
from importlib import import_module

import typer

from notifier.cli.failures import check_settings

COMMANDS = {
    "api": ("notifier.app", "run", "Serve the HTTP API and the page."),
    "worker": ("notifier.worker", "run_worker", "Send what is due."),
    "scheduler": ("notifier.worker", "run_scheduler", "Find what is due, each minute."),
    "migrate": ("notifier.storage.migrations", "run", "Bring the database to the current schema."),
}


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for name, (module, function, text) in COMMANDS.items():
        _add(app, name, module, function, text)


def _add(app: typer.Typer, name: str, module: str, function: str, text: str) -> None:
    @app.command(name, help=text)
    def command() -> None:
        check_settings()
        run = getattr(import_module(module), function)
        _spare_the_collector()
        run()


def _spare_the_collector() -> None:
    """Let the garbage collector pass over what is imported for good, and look less often.

    With its defaults it takes a fifth of the time of a worker that sends hundreds of messages at once.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
