"""`notifier doctor` says what is wrong and what to do, and its exit code says whether anything is."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from notifier.cli import checkup
from notifier.cli.checkup import Verdict
from tests.cli.test_commands import notifier
from tests.cli.test_up import Up, data_dir  # noqa: F401 - a fixture
from tests.house import SECRET_KEY, House, open_house
from tests.house import settings as settings_for
from tests.processes import own_valkey
from tests.storage.test_migrations import make_newer

NAMES = [
    "database",
    "connections",
    "clock",
    "schema",
    "scheduler",
    "worker",
    "lag",
    "promises",
    "mail",
    "redis",
]


def doctor(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return notifier("doctor", *arguments, **settings)


def environment(database_url: str, redis_url: str) -> dict[str, str]:
    return {
        "NOTIFIER_DATABASE_URL": database_url,
        "NOTIFIER_REDIS_URL": redis_url,
        "NOTIFIER_SECRET_KEY": SECRET_KEY,
    }


async def examine(house: House, **changes: Any) -> dict[str, checkup.Finding]:
    """Return the findings by name."""
    given = house.runtime.settings
    settings = settings_for(given.database_url, given.redis_url, **changes)
    return {one.name: one async for one in checkup.examine(settings, None)}


def ailing(findings: dict[str, checkup.Finding]) -> dict[str, Verdict]:
    return {name: one.verdict for name, one in findings.items() if one.verdict != Verdict.OK}


@pytest.fixture
async def house(database_url: str, redis_url: str) -> Any:
    """Yield a wired service whose scheduler and worker look alive."""
    async with open_house(database_url, redis_url) as opened:
        for name in ("scheduler", "worker:one"):
            await opened.sql("INSERT INTO heartbeats (name, beat_at) VALUES (:name, now())", name=name)
        yield opened


async def test_where_all_is_well_every_line_is_ok(house: House) -> None:
    findings = await examine(house)
    assert list(findings) == NAMES
    assert ailing(findings) == {}
    assert all(one.do is None for one in findings.values())


@pytest.mark.parametrize(
    ("statement", "ails"),
    [
        ("DELETE FROM heartbeats WHERE name = 'scheduler'", {"scheduler": Verdict.FAIL}),
        (
            "UPDATE heartbeats SET beat_at = now() - interval '10 minutes'",
            dict.fromkeys(("scheduler", "worker"), Verdict.FAIL),
        ),
        (
            "UPDATE notifications SET next_due_at = now() - interval '10 minutes'",
            dict.fromkeys(("lag", "promises"), Verdict.WARN),
        ),
        ("UPDATE destinations SET kind = 'email'", {"mail": Verdict.WARN}),
        ("DELETE FROM alembic_version", {"schema": Verdict.FAIL}),
    ],
)
async def test_what_is_wrong_is_told_with_what_to_do(
    house: House, statement: str, ails: dict[str, Verdict]
) -> None:
    await house.create(to=["log:"])
    await house.sql(statement)
    findings = await examine(house)
    assert ailing(findings) == ails
    assert all(findings[name].do for name in ails)


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_a_reader_who_leaves_early_ends_it_quietly(house: House, options: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFIER_")}
    given = house.runtime.settings
    done = subprocess.run(
        [sys.executable, "-m", "notifier", "doctor", *options],
        env={**kept, **environment(given.database_url, given.redis_url)},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (done.stderr, done.returncode) == ("", 1)


async def test_a_broken_promise_is_a_failure(house: House) -> None:
    await house.plan_one()
    await house.send()
    await house.sql("DELETE FROM attempts")
    found = (await examine(house))["promises"]
    assert (found.verdict, found.said) == (Verdict.FAIL, "ended_without_attempt: 1")


async def test_mail_that_has_a_server_is_well(house: House) -> None:
    await house.create(to=["mailto:ada@example.com"])
    assert "mail" in ailing(await examine(house))
    assert (await examine(house, smtp_host="mail.example.com"))["mail"].said == "through mail.example.com:587"


@pytest.mark.parametrize(
    ("skew", "verdict"), [(0.5, "ok"), (-1.9, "ok"), (2.5, "warn"), (-59, "warn"), (61, "fail")]
)
def test_clocks_may_differ_a_little(skew: float, verdict: str) -> None:
    assert checkup._clock(skew).verdict == verdict


@pytest.mark.parametrize(
    ("settings", "verdict", "said"),
    [
        ({"maxmemory_policy": "allkeys-lru"}, Verdict.FAIL, "wrong eviction policy: allkeys-lru"),
        ({"maxmemory": 1000}, Verdict.FAIL, "full"),
    ],
)
async def test_a_redis_that_could_lose_jobs_is_told_of(
    database_url: str, tmp_path: Path, settings: dict[str, Any], verdict: Verdict, said: str
) -> None:
    with own_valkey(tmp_path / "valkey") as valkey:
        valkey.set(**settings)
        async with open_house(database_url, valkey.url) as house:
            found = (await examine(house))["redis"]
    assert found.verdict is verdict
    assert found.said.startswith(said)


async def test_a_redis_that_keeps_nothing_on_disk_is_worth_a_look(database_url: str, tmp_path: Path) -> None:
    with own_valkey(tmp_path / "valkey") as valkey:
        valkey.set(appendonly="no")
        async with open_house(database_url, valkey.url) as house:
            assert (await examine(house))["redis disk"].verdict is Verdict.WARN


async def test_a_frozen_redis_is_given_up(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkup, "SECONDS", 1.0)
    with own_valkey(tmp_path / "valkey") as valkey:
        async with open_house(database_url, valkey.url) as house:
            valkey.freeze()
            found = (await examine(house))["redis"]
            valkey.thaw()
    assert (found.verdict, found.said) == (Verdict.FAIL, "no answer within 1 s")


async def test_a_newer_schema_is_well(house: House) -> None:
    await make_newer(house.runtime.settings.database_url)
    assert "schema" not in ailing(await examine(house))


def test_servers_that_are_away_are_failures_and_the_exit_code_says_so() -> None:
    done = doctor(**environment("postgresql://ada:hush@127.0.0.1:1/x", "redis://:hush@127.0.0.1:1/0"))
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if line.startswith("fail")]
    assert [line.split()[1] for line in lines] == ["database", "redis"]
    assert "-> is PostgreSQL running" in done.stdout
    assert "hush" not in done.stdout + done.stderr


async def test_machines_get_json(house: House) -> None:
    given = house.runtime.settings
    done = doctor("--json", **environment(given.database_url, given.redis_url))
    report = json.loads(done.stdout)
    assert (done.returncode, report["healthy"]) == (0, True)
    assert [one["name"] for one in report["checks"]] == NAMES
    assert set(report["checks"][0]) == {"name", "verdict", "said", "do"}


def test_with_nothing_to_look_at_it_says_so(tmp_path: Path) -> None:
    done = doctor("--data-dir", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith("Error: no `notifier up` runs on ")


@pytest.mark.long
def test_it_finds_the_servers_of_a_running_up(data_dir: Path) -> None:  # noqa: F811
    up = Up(data_dir).await_ready()
    report = json.loads(doctor("--json", "--data-dir", str(data_dir)).stdout)
    assert [one for one in report["checks"] if one["verdict"] != "ok"] == []
    assert report["checks"][-1]["name"] == "disk"
    up.stop()
    assert doctor("--data-dir", str(data_dir)).returncode == 2
