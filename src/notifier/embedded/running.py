"""What a `notifier up` that runs on a data folder works with, for others who want to look."""

from pathlib import Path
from typing import Any

from notifier.embedded import sockets
from notifier.embedded.environment import Environment
from notifier.embedded.postgres import Postgres
from notifier.embedded.valkey import Valkey


def settings_of(data_dir: Path, environment: Environment) -> dict[str, Any]:
    """Return the settings that the environment leaves open, by name; none if nothing runs on the folder.

    Raises OSError if the folder may not be read.
    """
    place = sockets.find(data_dir / "run")
    if place is None or (environment.gives("DATABASE_URL") and environment.gives("REDIS_URL")):
        return {}
    known = {
        "environment": "embedded",
        "database_url": Postgres(data_dir / "postgres", place).url(),
        "redis_url": Valkey(data_dir / "valkey", place).url(),
        "secret_key": (data_dir / "secret-key").read_text().strip(),
    }
    return {name: value for name, value in known.items() if not environment.gives(name.upper())}


def address_of(data_dir: Path) -> str | None:
    """Return the URL of the API of a running service, None if nothing runs on the folder.

    Raises OSError if the folder may not be read.
    """
    place = sockets.find(data_dir / "run")
    note = place / sockets.ADDRESS if place else None
    return note.read_text() if note and note.exists() else None
