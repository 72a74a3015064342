"""How commands fail: one readable line on standard error, and an exit code (1 failed, 2 wrongly called)."""

from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from pydantic import ValidationError

FAILED = 1
WRONGLY_CALLED = 2


def fail(message: str, exit_code: int = FAILED) -> NoReturn:
    """Say why on standard error and end the command."""
    typer.secho(f"Error: {message}", fg=typer.colors.RED, err=True)
    raise typer.Exit(exit_code)


def check_settings(**given: Any) -> None:
    """End the command with a line for each setting that is missing or wrong; `given` ones are there."""
    from pydantic import ValidationError

    from notifier.settings import Settings

    try:
        Settings(**given)
    except ValidationError as error:
        fail("\n       ".join(_lines(error)), WRONGLY_CALLED)
    except (OSError, UnicodeDecodeError) as error:
        fail(f"a NOTIFIER_..._FILE variable names a file that cannot be read: {error}", WRONGLY_CALLED)


def _lines(error: "ValidationError") -> list[str]:
    # The values themselves are never shown: some are secrets.
    return [_line(problem) for problem in error.errors(include_input=False, include_url=False)]


def _line(problem: Any) -> str:
    from notifier.settings import PREFIX

    message = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return str(message)
    name = PREFIX + str(problem["loc"][0]).upper()
    return f"{name} is not set" if problem["type"] == "missing" else f"{name}: {message}"
