"""Migrations: up, down, without drift, two at once, and from an installed wheel."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from alembic import command

from notifier.storage import migrations, rescue
from notifier.storage.engine import Database
from notifier.storage.stretches import ALL
from notifier.storage.tables import metadata

ROOT = Path(__file__).parents[2]
TABLES = {table.name for table in metadata.sorted_tables}


async def tables(url: str) -> set[str]:
    """Return the names of the tables that the database has, Alembic's own aside."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()
    return {row["tablename"] for row in rows} - {"alembic_version"}


async def test_from_nothing_to_the_newest_schema_and_back_and_again(empty_database_url: str) -> None:
    await migrations.upgrade(empty_database_url)
    assert await tables(empty_database_url) == TABLES
    await asyncio.to_thread(command.downgrade, migrations.config(empty_database_url), "base")
    assert await tables(empty_database_url) == set()
    await migrations.upgrade(empty_database_url)
    assert await tables(empty_database_url) == TABLES


async def test_the_migrations_make_what_the_code_describes(database_url: str) -> None:
    await asyncio.to_thread(command.check, migrations.config(database_url))


async def test_a_migration_with_nothing_to_do_does_nothing(database_url: str) -> None:
    await migrations.upgrade(database_url)
    assert await tables(database_url) == TABLES


REVISED = """
INSERT INTO projects (id, name, mode) VALUES (gen_random_uuid(), 'p', 'live');
INSERT INTO notifications (project_id, id, title, body, data, schedule, anchor_at, updated_at)
SELECT id, gen_random_uuid(), '', '', '{}', '{}', now(), now() FROM projects, generate_series(1, 2);
INSERT INTO notification_revisions
  (project_id, notification_id, revision, title, body, data, schedule, changed_by, created_at)
SELECT project_id, id, nr, '', '', '{}', '{}', '', timestamptz '2027-01-01 00:00Z' + nr * interval '1 day'
FROM notifications, unnest(ARRAY[1, 2, 4]) AS nr
"""


async def test_revisions_from_before_learn_when_they_were_replaced(empty_database_url: str) -> None:
    await asyncio.to_thread(command.upgrade, migrations.config(empty_database_url), "0003")
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute(REVISED)
    await migrations.upgrade(empty_database_url)
    rows = await connection.fetch(
        "SELECT revision, replaced_at::date::text FROM notification_revisions"
        " ORDER BY notification_id, revision"
    )
    await connection.close()
    assert [tuple(row) for row in rows] == 2 * [(1, "2027-01-03"), (2, "2027-01-05"), (4, None)]


SENDING = """
INSERT INTO projects (id, name, mode) VALUES (gen_random_uuid(), 'p', 'live');
INSERT INTO destinations (project_id, id, kind, name, config, fingerprint, updated_at)
SELECT id, gen_random_uuid(), 'log', 'log', '{}', 'log', now() FROM projects;
INSERT INTO deliveries (project_id, id, destination_id, trigger, scheduled_for, message_id, status,
  attempts_made, lease_token, lease_expires_at, first_attempt_at)
SELECT project_id, id, id, 'test', now(), 'm', 'sending', 1, id, now(), now() FROM destinations;
UPDATE deliveries SET expires_at = now();
INSERT INTO attempts (project_id, delivery_id, number, started_at)
SELECT project_id, id, 1, now() FROM deliveries
"""


async def test_what_was_being_sent_before_is_found_by_the_rescuer(empty_database_url: str) -> None:
    await asyncio.to_thread(command.upgrade, migrations.config(empty_database_url), "0004")
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute(SENDING)
    await migrations.upgrade(empty_database_url)
    database = Database(empty_database_url)
    async with database.transaction() as session:
        assert await rescue.break_leases(session, ALL, 9) == 1
    # the first try of what is handed back is as late as it was
    assert await connection.fetchval("SELECT start_by = expires_at FROM deliveries")
    await database.aclose()
    await connection.execute("DELETE FROM deliveries")
    assert await connection.fetchval("SELECT count(*) FROM attempts") == 0
    await connection.close()


async def test_a_ledger_with_rows_goes_back_to_its_foreign_keys(empty_database_url: str) -> None:
    await asyncio.to_thread(command.upgrade, migrations.config(empty_database_url), "0004")
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute(SENDING)
    await migrations.upgrade(empty_database_url)
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="a delivery refers to this row"):
        await connection.execute("DELETE FROM destinations")
    await asyncio.to_thread(command.downgrade, migrations.config(empty_database_url), "0005")
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="fk_deliveries_destination"):
        await connection.execute("DELETE FROM destinations")
    await connection.close()


def environment(database_url: str, **others: str) -> dict[str, str]:
    """Return the environment of `notifier migrate`."""
    own = {"PATH": os.environ["PATH"], "NOTIFIER_DATABASE_URL": database_url, **others}
    return own | {"NOTIFIER_REDIS_URL": "redis://nowhere", "NOTIFIER_SECRET_KEY": "k" * 40}


def start_migration(env: dict[str, str], cwd: Path) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "notifier", "migrate"]
    return subprocess.Popen(
        arguments, env=env, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


async def test_migrations_at_the_same_time_wait_for_one_another(
    empty_database_url: str, tmp_path: Path
) -> None:
    running = [start_migration(environment(empty_database_url), tmp_path) for _ in range(3)]
    for one in running:
        said, _ = await asyncio.to_thread(one.communicate, timeout=60)
        assert one.returncode == 0, said
    assert await tables(empty_database_url) == TABLES


async def make_newer(url: str) -> None:
    """Have the database say that a version to come has migrated it."""
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()


async def test_a_newer_database_is_left_alone_with_one_line(database_url: str, tmp_path: Path) -> None:
    await make_newer(database_url)
    migration = start_migration(environment(database_url), tmp_path)
    said, _ = await asyncio.to_thread(migration.communicate, timeout=60)
    assert migration.returncode == 1
    (line,) = said.splitlines()
    assert "install the newer version" in line


@pytest.fixture(scope="module")
def wheel_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder into which the package is installed from its wheel."""
    built, installed = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    quick = ["--no-deps", "--no-index"]
    build = [*pip, "wheel", *quick, "--no-build-isolation", "--wheel-dir", str(built), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, text=True)
    (wheel,) = built.glob("notifier-*.whl")
    subprocess.run([*pip, "install", *quick, "--target", str(installed), str(wheel)], check=True)
    return installed


async def test_an_installed_wheel_brings_its_migrations(
    wheel_folder: Path, empty_database_url: str, tmp_path: Path
) -> None:
    env = environment(empty_database_url, PYTHONPATH=str(wheel_folder))
    ask = "import notifier.storage.migrations as m; print(m.location())"
    answer = subprocess.run(
        [sys.executable, "-c", ask], env=env, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert Path(answer.stdout.strip()) == wheel_folder / "notifier" / "migrations"
    migration = start_migration(env, tmp_path)
    said, _ = await asyncio.to_thread(migration.communicate, timeout=60)
    assert migration.returncode == 0, said
    assert await tables(empty_database_url) == TABLES


def test_an_installed_wheel_knows_its_commands(wheel_folder: Path, tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "notifier", "--help"]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(wheel_folder)}
    answer = subprocess.run(arguments, env=env, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "migrate" in answer.stdout
