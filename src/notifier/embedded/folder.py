"""The data folder: everything that has to survive a restart, and nothing of anybody else's.

lock          held by the one `notifier up` of this folder
api-key       the admin API key that the first start makes (0600)
secret-key    encrypts the destinations' secrets (0600)
.gitignore    of everything here
postgres/     the database        valkey/   the queue's append-only file
logs/         one file per child  run/      locks of the children; where the sockets are
"""

import os
import secrets
import time
from pathlib import Path

from notifier import clock
from notifier.embedded import sockets
from notifier.embedded.child import Places
from notifier.embedded.errors import StartError
from notifier.embedded.processes import POLL_SECONDS, end_all, take_lock, write_lock

GUARD = "guard"
GUARD_SECONDS = 60.0


class DataFolder:
    """The opened, locked data folder of one running service."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.places = Places(run=path / "run", logs=path / "logs")
        self.postgres = path / "postgres"
        self.valkey = path / "valkey"
        self.api_key = path / "api-key"
        self.secret_key = path / "secret-key"
        self.sockets = Path()
        self._lock: int | None = None

    @classmethod
    def open(cls, path: Path) -> "DataFolder":
        """Make the folder if need be, lock it, and end what an earlier run left behind; raises StartError."""
        try:
            folder = cls(_make(path))
            folder._take_over()
        except OSError as error:
            raise StartError(f"Cannot use the data folder {path}: {_in_words(error)}") from error
        return folder

    def close(self) -> None:
        """Remove the sockets and let go of the lock."""
        sockets.remove(self.places.run)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def tell_address(self, url: str) -> None:
        """Write down where the API listens, for commands that are given this folder."""
        (self.sockets / sockets.ADDRESS).write_text(url)

    def ensure_api_key(self) -> None:
        """Make the admin API key once."""
        _write_once(self.api_key, "ntf_" + secrets.token_urlsafe(32))

    def ensure_secret_key(self) -> None:
        """Make the encryption key once; raises StartError where it is gone but the data is still there."""
        if self.postgres.exists() and not self.secret_key.exists():
            raise StartError(
                f"{self.secret_key} is missing, and the stored secrets cannot be read without it: put it "
                "back, or set NOTIFIER_SECRET_KEY"
            )
        _write_once(self.secret_key, secrets.token_urlsafe(48))

    def _take_over(self) -> None:
        self._lock = _lock(self.path)
        for place in (self.places.run, self.places.logs):
            place.mkdir(mode=0o700, exist_ok=True)
        # the folder may stand in a repository, and holds keys
        _write_once(self.path / ".gitignore", "*")
        end_all(self.places.run)
        sockets.remove(self.places.run)
        self.sockets = sockets.make(self.places.run)


def _make(path: Path) -> Path:
    if path.exists() and not path.is_dir():
        raise StartError(f"Cannot use the data folder {path}: it is a file")
    if path.is_symlink() or path.exists():
        return path.resolve(strict=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    return path.resolve(strict=True)


def _lock(path: Path) -> int:
    """Return the held lock; the guard of a killed `notifier up` is waited for, a living one is an error."""
    deadline = clock.monotonic() + GUARD_SECONDS
    while (lock := take_lock(path / "lock")) is None:
        holder = (path / "lock").read_text()
        if holder != GUARD or clock.monotonic() > deadline:
            raise StartError(
                f"Another `notifier up` (process {holder}) already runs on the data folder {path}"
            )
        time.sleep(POLL_SECONDS)
    write_lock(lock, str(os.getpid()))
    return lock


def _write_once(path: Path, text: str) -> None:
    """Write a private file unless it exists; a crash in between leaves either all of it or nothing."""
    if path.exists():
        return
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with open(draft, "x", encoding="utf-8", opener=_private) as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _in_words(error: OSError) -> str:
    return f"{error.strerror} ({error.filename})" if error.filename else str(error)
