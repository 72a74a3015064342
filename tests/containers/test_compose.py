"""What the compose file, the Dockerfile and their page promise, read without Docker.

That they run is shown by `deploy/check-containers`, by hand.
"""

import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from notifier.settings import PREFIX, Settings
from notifier.worker import COMPLETION_WAIT

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
OURS = ("migrate", "web", "worker", "scheduler")
SECRETS = {"POSTGRES_PASSWORD", "NOTIFIER_SECRET_KEY", "NOTIFIER_BOOTSTRAP_API_KEY"}
# The image sets where to listen; `embedded` is not for containers.
NOT_FOR_OPERATORS = {"host", "port", "environment"}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PAGE = (ROOT / "docs" / "containers.md").read_text()


def write_env(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run the page's first command in `folder`."""
    command = re.findall(r"```sh\n(.*?)```", PAGE, re.S)[0]
    return subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("secret", sorted(SECRETS))
def test_a_missing_secret_stops_compose_with_a_sentence(secret: str) -> None:
    uses = re.findall(rf"\$\{{{secret}(.*?)\}}", TEXT)
    assert uses
    assert all(use.startswith(":?") and "docs/containers.md" in use for use in uses)


def test_only_the_published_address_has_a_default() -> None:
    assert set(re.findall(r"\$\{(\w+):?-", TEXT)) == {"PUBLISH", "PORT"}


def test_no_secret_is_written_into_the_file() -> None:
    for service in SERVICES.values():
        for name, value in service["environment"].items() if "environment" in service else ():
            if re.search("PASSWORD|SECRET|KEY", name):
                assert value is None or value.startswith("${")


def test_the_documented_line_writes_a_random_value_for_every_secret(tmp_path: Path) -> None:
    assert write_env(tmp_path).returncode == 0
    values = dict(line.split("=") for line in (tmp_path / ".env").read_text().splitlines())
    assert set(values) == SECRETS
    assert len(set(values.values())) == len(SECRETS)
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in values.values())


def test_the_documented_line_keeps_the_secrets_from_other_users_and_never_overwrites_them(
    tmp_path: Path,
) -> None:
    write_env(tmp_path)
    env = tmp_path / ".env"
    first = env.read_text()
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    assert write_env(tmp_path).returncode != 0
    assert env.read_text() == first


@pytest.mark.parametrize("service", OURS)
def test_every_setting_can_be_given(service: str) -> None:
    expected = set(Settings.model_fields) - NOT_FOR_OPERATORS - {"bootstrap_api_key"}
    assert {PREFIX + name.upper() for name in expected} <= set(SERVICES[service]["environment"])


def test_only_the_migration_is_given_the_admin_key() -> None:
    name = PREFIX + "BOOTSTRAP_API_KEY"
    assert [service for service in OURS if name in SERVICES[service]["environment"]] == ["migrate"]


@pytest.mark.parametrize("service", ["web", "worker", "scheduler"])
def test_nothing_starts_before_the_migration_has_ended_well(service: str) -> None:
    assert SERVICES[service]["depends_on"] == {
        "migrate": {"condition": "service_completed_successfully"},
        "postgres": {"condition": "service_healthy"},
        "redis": {"condition": "service_healthy"},
    }


@pytest.mark.parametrize("service", OURS)
def test_our_services_share_one_image_and_have_no_privileges(service: str) -> None:
    told = SERVICES[service]
    assert told["image"] == "notifier"
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges"]


def test_only_the_api_is_published_and_only_to_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web": ["${PUBLISH:-127.0.0.1}:${PORT:-8000}:8000"]}


def test_a_worker_is_given_longer_than_it_may_take_to_finish() -> None:
    assert int(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) > COMPLETION_WAIT


def test_redis_keeps_its_jobs() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_the_data_outlives_the_containers() -> None:
    assert SERVICES["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]
    assert SERVICES["redis"]["volumes"] == ["redis:/data"]


def test_the_image_is_slim_checked_by_hash_and_not_root() -> None:
    assert "ARG PYTHON=python:3.13-slim" in DOCKERFILE
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)) == {"${PYTHON}", "libraries"}
    assert '"--require-hashes"' in DOCKERFILE
    assert re.search(r"^USER (\d+):\d+$", DOCKERFILE, re.M)


def test_the_image_is_built_from_listed_files_only() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules[0] == "*"
    kept = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert kept == {"pyproject.toml", "README.md", "LICENSE", "requirements/service.txt", "src", "alembic"}
