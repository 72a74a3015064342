"""The private folder for sockets: new at each start, short, and outside the data folder.

The path of a socket may be about 100 bytes long, however deep the data folder lies; so sockets live in the
folder for temporary files. `DATA_DIR/run/sockets` says where, and the folder says whose it is: a copied or
restored data folder never takes another's sockets for its own.
"""

import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

from notifier.embedded.errors import StartError

PREFIX = "ntf-"
MAX_PARENT_BYTES = 60  # leaves room for /ntf-xxxxxxxx/postgres/.s.PGSQL.5432 within the 104 bytes of macOS
ADDRESS = "address"  # the file in it that says where the API listens; it goes when the sockets go
PLAIN = re.compile(r"[\w/.+-]+", re.ASCII)  # needs no quoting in a URL or a configuration file


def make(run: Path) -> Path:
    """Make a new folder for the sockets of the data folder that `run` belongs to."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_parent()))
    if os.geteuid() == 0:
        folder.chmod(0o711)  # the database's own user has to pass; it gets a private folder inside
    (folder / "owner").write_text(_identity(run))
    (run / "sockets").write_text(str(folder))
    return folder


def remove(run: Path) -> None:
    """Remove the folder that an earlier start made, if it is truly ours."""
    note = run / "sockets"
    folder = Path(note.read_text().strip()) if note.exists() else None
    if folder and folder.name.startswith(PREFIX) and _belongs(folder, run):
        shutil.rmtree(folder, ignore_errors=True)
    note.unlink(missing_ok=True)


def find(run: Path) -> Path | None:
    """Return the folder that a running service of this data folder made, None if none runs."""
    note = run / "sockets"
    folder = Path(note.read_text().strip()) if note.exists() else None
    return folder if folder and _belongs(folder, run) else None


def runs_programs(folder: Path) -> bool:
    """Say whether the file system of `folder` lets programs run (many mount /tmp without that)."""
    return not os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0)


def _belongs(folder: Path, run: Path) -> bool:
    try:
        status = folder.lstat()
        ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
        return ours and (folder / "owner").read_text() == _identity(run)
    except OSError:
        return False


def _identity(run: Path) -> str:
    status = run.stat()
    return f"{status.st_dev}:{status.st_ino}"


def _parent() -> Path:
    for name in (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"):  # noqa: S108 - mkdtemp inside
        candidate = Path(name)
        if candidate.is_dir() and os.access(candidate, os.W_OK | os.X_OK) and _fits(candidate.resolve()):
            return candidate.resolve()
    raise StartError("No folder for temporary files fits; set TMPDIR to a short path that you may write to")


def _fits(candidate: Path) -> bool:
    short = len(os.fsencode(candidate)) <= MAX_PARENT_BYTES and PLAIN.fullmatch(str(candidate)) is not None
    if not short or os.geteuid() != 0:
        return short
    passable = all(step.stat().st_mode & stat.S_IXOTH for step in (candidate, *candidate.parents))
    return passable and runs_programs(candidate)
