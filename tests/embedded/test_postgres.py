"""The embedded PostgreSQL, for real: every test starts servers."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest

from notifier.embedded import account, processes
from notifier.embedded.child import Child
from notifier.embedded.errors import StartError
from notifier.embedded.folder import DataFolder
from notifier.embedded.postgres import Postgres
from tests.servers import await_ready, execute, wait_until


def start(folder: DataFolder) -> tuple[Postgres, Child]:
    server = Postgres(folder.postgres, folder.sockets, ("fsync=off",))
    child = server.start(folder.places)
    await_ready(child, lambda: server.is_ready(child))
    return server, child


def stop(folder: DataFolder) -> None:
    processes.end_all(folder.places.run)
    folder.close()


async def fetch(server: Postgres, query: str) -> object:
    connection = await asyncpg.connect(server.url())
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def write_a_row(server: Postgres) -> None:
    await execute(server.url(), "CREATE TABLE IF NOT EXISTS kept (row int); INSERT INTO kept VALUES (1)")


async def test_a_restart_keeps_the_data(data_dir: Path) -> None:
    for expected in (1, 2):
        folder = DataFolder.open(data_dir)
        server, _ = start(folder)
        await write_a_row(server)
        assert await fetch(server, "SELECT count(*) FROM kept") == expected
        stop(folder)


async def test_a_killed_server_starts_again_and_keeps_what_was_committed(data_dir: Path) -> None:
    folder = DataFolder.open(data_dir)
    server, child = start(folder)
    await write_a_row(server)
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: child.exit_code() is not None)
    server, _ = start(folder)
    assert await fetch(server, "SELECT count(*) FROM kept") == 1
    stop(folder)


async def test_a_stale_pid_file_that_names_a_living_process_is_no_obstacle(data_dir: Path) -> None:
    folder = DataFolder.open(data_dir)
    server, child = start(folder)
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: child.exit_code() is not None)
    pid_file = folder.postgres / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    server, _ = start(folder)
    assert await fetch(server, "SELECT 1") == 1
    stop(folder)


async def test_a_server_whose_supervisor_was_killed_is_ended_by_the_next_start(data_dir: Path) -> None:
    leave_a_server = (
        "import os, sys; from pathlib import Path; from tests.embedded.test_postgres import *\n"
        "start(DataFolder.open(Path(sys.argv[1]))); os.kill(os.getpid(), 9)"
    )
    root = Path(__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", leave_a_server, str(data_dir)], cwd=root, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert processes.is_held(data_dir / "run" / "postgres.lock")
    folder = DataFolder.open(data_dir)
    assert not processes.is_held(data_dir / "run" / "postgres.lock")
    server, _ = start(folder)
    assert await fetch(server, "SELECT 1") == 1
    stop(folder)


async def test_a_data_folder_too_deep_for_sockets_works(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 30) / ("er" * 40) / "data"
    folder = DataFolder.open(deep)
    server, _ = start(folder)
    assert await fetch(server, "SELECT 1") == 1
    stop(folder)


async def test_no_folder_of_the_user_changes_its_permissions(data_dir: Path) -> None:
    before = {parent: parent.stat() for parent in data_dir.parents}
    folder = DataFolder.open(data_dir)
    start(folder)
    stop(folder)
    for parent, status in before.items():
        now = parent.stat()
        assert (now.st_mode, now.st_uid, now.st_gid) == (status.st_mode, status.st_uid, status.st_gid)
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((data_dir / "postgres").stat().st_mode) == 0o700


def user_of(pid: int) -> int:
    return psutil.Process(pid).uids().effective


async def test_the_server_runs_as_its_user_or_for_root_as_a_user_without_rights(data_dir: Path) -> None:
    folder = DataFolder.open(data_dir)
    _, child = start(folder)
    owner = (data_dir / "postgres").stat().st_uid
    assert user_of(child.pid) == owner
    assert (owner == os.getuid()) == (os.getuid() != 0)
    status = Path(f"/proc/{child.pid}/status")
    if status.exists():
        assert "CapEff:\t0000000000000000" in status.read_text()
    stop(folder)


async def test_only_a_private_socket_listens_and_only_for_the_one_user(data_dir: Path) -> None:
    folder = DataFolder.open(data_dir)
    server, _ = start(folder)
    assert await fetch(server, "SHOW listen_addresses") == ""
    assert stat.S_IMODE((folder.sockets / "postgres").stat().st_mode) == 0o700
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await asyncpg.connect(server.url(), user="somebody")
    stop(folder)


async def test_data_of_another_major_version_is_refused_in_words(data_dir: Path) -> None:
    folder = DataFolder.open(data_dir)
    server, _ = start(folder)
    processes.end_all(folder.places.run)
    (folder.postgres / "PG_VERSION").write_text("17\n")
    with pytest.raises(StartError, match="was made by PostgreSQL 17"):
        server.start(folder.places)
    folder.close()


async def test_a_half_made_database_is_made_anew(data_dir: Path) -> None:
    folder = DataFolder.open(data_dir)
    half = data_dir / "postgres.new" / "base"
    half.mkdir(parents=True)
    server, _ = start(folder)
    assert await fetch(server, "SELECT current_database()") == "notifier"
    assert not half.parent.exists()
    stop(folder)


def test_data_that_root_copied_is_handed_to_the_server_again(data_dir: Path) -> None:
    folder = DataFolder.open(data_dir)
    start(folder)
    processes.end_all(folder.places.run)
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "0:0", folder.postgres], check=True)
    start(folder)
    assert (folder.postgres.stat().st_uid == account.SERVER_UID) == (os.getuid() == 0)
    stop(folder)
