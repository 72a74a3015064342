"""The embedded PostgreSQL: made once, reachable through a private Unix socket only, by its owner only."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from notifier.embedded import account as accounts
from notifier.embedded import binaries
from notifier.embedded.child import Account, Child, Command, Places, account_arguments
from notifier.embedded.errors import StartError

DATABASE = "notifier"
ROLE = "notifier"
MAJOR = "18"
INITDB = (
    f"--username={ROLE}",
    "--auth=peer",
    "--encoding=UTF8",
    # The collation that is the same on every system, so that the data can move between them.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)
GRACE_SECONDS = 30.0
SETTINGS = (
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "timezone=UTC",
    "log_timezone=UTC",
    # After each checkpoint every page is logged whole once: a busy minute shall not meet many
    "max_wal_size=4GB",
    "checkpoint_timeout=15min",
    # Compiling pays for long reports. There are none.
    "jit=off",
)


class Postgres:
    """The server of one data folder.

    `data` is the folder of the database (made by `start`), `sockets` the private folder for sockets, and
    `options` are further settings such as `fsync=off`.
    """

    def __init__(self, data: Path, sockets: Path, options: tuple[str, ...] = ()) -> None:
        self._data = data
        self._place = sockets
        self._socket = sockets / "postgres"
        self._options = options

    def url(self, database: str = DATABASE) -> str:
        """Return the address of a database of this server."""
        return f"postgresql://{ROLE}@/{database}?host={self._socket}"

    def start(self, places: Places) -> Child:
        """Make the database if there is none, start the server, return at once; raises StartError."""
        if not self._data.exists():
            self._create()
        self._check_version()
        account = accounts.owner_account(self._data)
        programs = binaries.programs_for(account, binaries.postgres_programs(), self._place / "programs")
        self._write_access_rules()
        self._make_socket_folder(account)
        descriptor = accounts.open_data(self._data, account)
        try:
            return Child(self._command(programs, account, descriptor), places, self._forget_earlier_run)
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def is_ready(self, child: Child) -> bool:
        """Say whether the server accepts connections."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and int(lines[0]) == child.pid and lines[7].strip() == "ready"

    def _create(self) -> None:
        """Make the database beside its place and move it there whole: a crash leaves nothing half done."""
        draft = self._data.with_name(self._data.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        account = accounts.first_account()
        if account:
            accounts.give_draft(draft, account)
        self._fill(draft, account)
        if account:
            accounts.hand_over(draft)
        draft.rename(self._data)

    def _fill(self, draft: Path, account: Account | None) -> None:
        programs = binaries.programs_for(account, binaries.postgres_programs(), self._place / "programs")
        if account is None:
            accounts.own_name()
        descriptor = accounts.open_data(draft, account)
        path = accounts.path_for(draft, descriptor)
        sync = ("--no-sync",) if "fsync=off" in self._options else ()
        try:
            _run((str(programs / "initdb"), "-D", path, *INITDB, *sync), "", account, descriptor)
            single = (str(programs / "postgres"), "--single", "-D", path, "template1")
            _run(single, f"CREATE DATABASE {DATABASE}\n", account, descriptor)
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _check_version(self) -> None:
        version = (self._data / "PG_VERSION").read_text().strip()
        if version != MAJOR:
            raise StartError(f"{self._data} was made by PostgreSQL {version}; this is PostgreSQL {MAJOR}")

    def _write_access_rules(self) -> None:
        """Let in the user who runs this, known by the kernel's word for it, and nobody else."""
        (self._place / "pg_hba.conf").write_text("local all all peer map=owner\n")
        (self._place / "pg_ident.conf").write_text(f'owner "{accounts.own_name()}" {ROLE}\n')
        for name in ("pg_hba.conf", "pg_ident.conf"):
            (self._place / name).chmod(0o644)

    def _make_socket_folder(self, account: Account | None) -> None:
        self._socket.mkdir(mode=0o700, exist_ok=True)
        if account:
            os.chown(self._socket, account.uid, account.gid)

    def _forget_earlier_run(self) -> None:
        """Remove what a killed server left; its lock is ours by now, so none of it is in use."""
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        for leftover in self._socket.iterdir():
            leftover.unlink()

    def _command(self, programs: Path, account: Account | None, descriptor: int | None) -> Command:
        settings = (
            *SETTINGS,
            f"unix_socket_directories={self._socket}",
            f"hba_file={self._place / 'pg_hba.conf'}",
            f"ident_file={self._place / 'pg_ident.conf'}",
            *self._options,
        )
        arguments = (part for setting in settings for part in ("-c", setting))
        return Command(
            name="postgres",
            argv=(str(programs / "postgres"), "-D", accounts.path_for(self._data, descriptor), *arguments),
            stop_signal=signal.SIGINT,  # fast shutdown: does not wait for clients
            grace_seconds=GRACE_SECONDS,
            rank=0,
            account=account,
            descriptors=() if descriptor is None else (descriptor,),
        )


def _run(argv: tuple[str, ...], text: str, account: Account | None, descriptor: int | None) -> None:
    done = subprocess.run(
        argv,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # let it finish when Ctrl-C is pressed; it takes about a second
        pass_fds=() if descriptor is None else (descriptor,),
        **account_arguments(account),
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise StartError(f"PostgreSQL could not be set up: {last}")
