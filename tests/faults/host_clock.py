"""The clock of a host that is wrong, and is set while processes run: the wall's, not the monotonic one.

By libfaketime where it is installed (Linux, `apt-get install faketime`). Elsewhere `stepped` gives the
modules that read the clock another one.
"""

import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from shutil import which


class HostClock:
    """Wrong by `seconds`, until it is set anew; `sweep_every` goes on to the launcher."""

    def __init__(self, file: Path, seconds: int, sweep_every: float) -> None:
        self._file = file
        self.arguments = ("--clock", str(file), "--sweep-every", str(sweep_every))
        self.set(seconds)

    def set(self, seconds: int) -> None:
        """Have the clock be wrong by so many seconds from now on."""
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{seconds:+d}\n")
        draft.rename(self._file)

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process on this host finds in its environment."""
        library = faketime()
        if library is None:
            return {}
        return {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


@cache
def faketime() -> str | None:
    """Return libfaketime as the loader wants it, None where there is none."""
    command = which("faketime")
    if sys.platform != "linux" or command is None:
        return None
    asked = subprocess.run(
        [command, "-f", "+0", "printenv", "LD_PRELOAD"], stdout=subprocess.PIPE, check=True
    )
    return asked.stdout.decode().strip()
