"""A data folder of its own for each test; whatever the test started in it is ended."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from notifier.embedded import guard, sockets
from notifier.embedded.child import Places
from notifier.embedded.processes import end_all
from tests.servers import make_places


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """Yield a path that does not exist yet, beneath a folder that is private to the user of the tests."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    watcher = guard.start(home / "data")  # should pytest itself be killed
    yield home / "data"
    if (home / "data" / "run").exists():
        end_all(home / "data" / "run")
        sockets.remove(home / "data" / "run")
    guard.dismiss(watcher)


@pytest.fixture
def places(data_dir: Path) -> Places:
    """Return the folders for locks and logs of a data folder that no `notifier up` uses."""
    return make_places(data_dir)
