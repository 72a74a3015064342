"""Figures kept in `results.json`, a key for each part, with what they were measured on."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from notifier.clock import utc_now

RESULTS = Path(__file__).with_name("results.json")
PEERS = Path(__file__).with_name("peers.txt")


def keep(path: Path, part: str, figures: dict[str, Any], packages: Sequence[str] = ()) -> None:
    """Write the figures of one part beside those of the others."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    measured_at = utc_now().isoformat(timespec="seconds")
    found[part] = {"measured_at": measured_at, **_machine(), **_versions(packages), **figures}
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")
    draft.rename(path)


def figures(path: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Return all figures that have a name of their own, whatever part they are of."""
    found: dict[str, Any] = json.loads(path.read_text())
    parts = [part["figures"] for part in found.values() if isinstance(part["figures"], dict)]
    return {name: row for part in parts for name, row in part.items()}


def _machine() -> dict[str, Any]:
    return {
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _processor() -> str:
    """Return the processor's name, where the system tells it."""
    if platform.system() == "Darwin":
        told = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, check=False
        )
        return told.stdout.decode().strip()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of packages: those pinned for the peers, else those installed here."""
    pins = dict(line.split("==") for line in PEERS.read_text().split() if "==" in line)
    return {name: pins.get(name.lower()) or version(name) for name in packages}
