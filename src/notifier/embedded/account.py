"""Who the embedded PostgreSQL runs as: the user who started it, or, for root, a user without any rights.

PostgreSQL refuses to run as root. Root therefore starts it as a user number that belongs to no account, so
that no other process of the machine shares it. That user can pass none of the folders above the data, which
may well be private to root: it is handed the opened data folder instead, and copies of the programs. See
docs/decisions/0002-embedded-servers.md.
"""

import os
import pwd
import sys
from pathlib import Path

from notifier.embedded.child import Account
from notifier.embedded.errors import StartError

SERVER_UID = 7238758  # "ntf" as a number; nobody's
NEEDED = {"CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7}
INSTEAD = "run it as an ordinary user, or set NOTIFIER_DATABASE_URL"


def is_root() -> bool:
    """Say whether this process runs as root."""
    return os.geteuid() == 0


def own_name() -> str:
    """Return the name of the user who runs this process; raises StartError if the system has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise StartError(
            f"The embedded PostgreSQL needs a user with a name, and user {os.geteuid()} has none: {INSTEAD}"
        ) from None


def check_capabilities() -> None:
    """Raise StartError if root lacks what it takes to start a server as another user."""
    status = Path("/proc/self/status")
    if not status.exists():
        return
    held = next(int(line.split()[1], 16) for line in status.read_text().splitlines() if "CapEff" in line)
    missing = [name for name, bit in NEEDED.items() if not held >> bit & 1]
    if missing:
        raise StartError(f"As root, the embedded PostgreSQL needs {', '.join(missing)}: {INSTEAD}")


def first_account() -> Account | None:
    """Return who makes a new database: `initdb` insists on a user with a name; None stands for oneself."""
    if not is_root():
        return None
    check_capabilities()
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise StartError(f"As root, the embedded PostgreSQL needs the user `nobody`: {INSTEAD}") from None
    return Account(nobody.pw_uid, nobody.pw_gid)


def owner_account(data: Path) -> Account | None:
    """Return who the server must run as: the owner of its data; None stands for oneself."""
    owner = data.stat()
    if owner.st_uid == os.geteuid() and not is_root():
        return None
    if not is_root():
        raise StartError(
            f"{data} belongs to another user (number {owner.st_uid}); start it as that user or root"
        )
    check_capabilities()
    if owner.st_uid == 0:  # a copy that root made
        return hand_over(data)
    return Account(owner.st_uid, owner.st_gid)


def hand_over(data: Path) -> Account:
    """Give the data to the server's user number, or to `nobody` where the system cannot map that number."""
    account = Account(SERVER_UID, SERVER_UID)
    try:
        give(data, account)
    except OSError:
        account = first_account() or account
        give(data, account)
    return account


def give_draft(draft: Path, account: Account) -> None:
    """Like `give`, for the first folder of all; raises StartError where root may not do that."""
    try:
        give(draft, account)
    except OSError as error:
        raise StartError(
            f"This system does not let root run PostgreSQL as another user: {INSTEAD}"
        ) from error


def give(data: Path, account: Account) -> None:
    """Make the account the owner of a folder and all that is in it."""
    # Bottom up: the owner of the top folder is what tells that all of it has been handed over.
    for folder, _, files in os.walk(data, topdown=False):
        for path in (*(os.path.join(folder, name) for name in files), folder):  # noqa: PTH118 - many paths
            os.chown(path, account.uid, account.gid, follow_symlinks=False)


def path_for(data: Path, descriptor: int | None) -> str:
    """Return how the server reaches its data: by the inherited descriptor where there is one."""
    return str(data) if descriptor is None else f"/proc/self/fd/{descriptor}"


def open_data(data: Path, account: Account | None) -> int | None:
    """Open the data folder for a server that cannot pass the folders above it; None where it can."""
    if account is None or sys.platform != "linux":
        return None
    return os.open(data, os.O_RDONLY | os.O_DIRECTORY)
