"""Figures kept in `results.json`, a key for each benchmark, with what they were measured on."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from notifier.clock import utc_now

RESULTS = Path(__file__).with_name("results.json")


def keep(path: Path, name: str, figures: dict[str, Any]) -> None:
    """Write the figures of one benchmark beside those of the others."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    found[name] = {"measured_at": utc_now().isoformat(timespec="seconds"), **_conditions(), **figures}
    path.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")


def _conditions() -> dict[str, str]:
    libraries = ("cronsim", "python-dateutil", "tzdata")
    return {
        "machine": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: version(name) for name in libraries},
    }
