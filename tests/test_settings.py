"""Settings: where they come from, and what is refused."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from notifier.settings import PREFIX, Settings

NEEDED = {
    "DATABASE_URL": "postgresql://user@host/name",
    "REDIS_URL": "redis://host:6379/0",
    "SECRET_KEY": "0123456789abcdef0123456789abcdef",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Return an environment that holds what is needed and nothing else of ours."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"{PREFIX}{name.upper()}", raising=False)
        monkeypatch.delenv(f"{PREFIX}{name.upper()}_FILE", raising=False)
    for name, value in NEEDED.items():
        monkeypatch.setenv(PREFIX + name, value)
    return monkeypatch


def test_three_settings_suffice(environment: pytest.MonkeyPatch) -> None:
    settings = Settings()
    assert settings.environment == "production"
    assert settings.bootstrap_api_key is None
    assert settings.allow_private_destinations == ()
    assert settings.retry_schedule == (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)


@pytest.mark.parametrize("name", NEEDED)
def test_each_of_them_is_needed(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.delenv(PREFIX + name)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


def test_a_setting_may_stand_in_a_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("fedcba9876543210fedcba9876543210\n")
    environment.delenv(f"{PREFIX}SECRET_KEY")
    environment.setenv(f"{PREFIX}SECRET_KEY_FILE", str(file))
    assert Settings().secret_key.get_secret_value() == "fedcba9876543210fedcba9876543210"


def test_a_variable_goes_before_its_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "port"
    file.write_text("1")
    environment.setenv(f"{PREFIX}PORT_FILE", str(file))
    assert Settings().port == 1
    environment.setenv(f"{PREFIX}PORT", "2")
    assert Settings().port == 2


def test_an_empty_variable_counts_as_not_set(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv(f"{PREFIX}SMTP_PORT", "")
    environment.setenv(f"{PREFIX}SMTP_HOST", "")
    assert (Settings().smtp_port, Settings().smtp_host) == (587, None)
    file = tmp_path / "port"
    file.write_text("2525")
    environment.setenv(f"{PREFIX}SMTP_PORT_FILE", str(file))
    assert Settings().smtp_port == 2525


def test_an_empty_variable_is_missing_where_it_is_needed(environment: pytest.MonkeyPatch) -> None:
    environment.setenv(f"{PREFIX}DATABASE_URL", "")
    with pytest.raises(ValidationError, match="database_url"):
        Settings()


def test_lists_are_separated_by_commas(environment: pytest.MonkeyPatch) -> None:
    environment.setenv(f"{PREFIX}ALLOW_PRIVATE_DESTINATIONS", "10.0.0.0/8, fd00::/8,")
    environment.setenv(f"{PREFIX}RETRY_SCHEDULE", "1, 2.5")
    settings = Settings()
    assert settings.allow_private_destinations == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert settings.retry_schedule == (1, 2.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "too-short"),
        ("SECRET_KEY", "changeme-changeme-changeme-changeme"),
        ("SECRET_KEY", "REPLACE-ME-" + "x" * 30),
        ("BOOTSTRAP_API_KEY", "short"),
        ("BOOTSTRAP_API_KEY", "ntf_placeholder_placeholder"),
        ("DATABASE_URL", "mysql://host/name"),
        ("REDIS_URL", "http://host"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("ENVIRONMENT", "staging"),
        ("LOG_FORMAT", "xml"),
        ("SMTP_TLS", "maybe"),
        ("ALLOW_PRIVATE_DESTINATIONS", "10.0.0.1/8"),
        ("ALLOW_PRIVATE_DESTINATIONS", "everywhere"),
        ("RETRY_SCHEDULE", "soon"),
        ("WORKER_CONCURRENCY", "0"),
        ("WEBHOOK_TIMEOUT", "0"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv(PREFIX + name, value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert name.lower() in str(refused.value).lower()


def test_secrets_are_not_shown(environment: pytest.MonkeyPatch) -> None:
    environment.setenv(f"{PREFIX}BOOTSTRAP_API_KEY", "ntf_very_secret_key_0123456789")
    shown = repr(Settings())
    assert NEEDED["SECRET_KEY"] not in shown
    assert "very_secret" not in shown


def test_addresses_are_not_shown_since_they_hold_passwords(environment: pytest.MonkeyPatch) -> None:
    environment.setenv(f"{PREFIX}DATABASE_URL", "postgresql://ada:hunter2@host/name")
    environment.setenv(f"{PREFIX}REDIS_URL", "redis://:hunter3@host:6379/0")
    assert "hunter" not in repr(Settings())


def test_unknown_variables_are_left_alone(environment: pytest.MonkeyPatch) -> None:
    environment.setenv(f"{PREFIX}COLOUR", "red")
    assert Settings().port == 8000
