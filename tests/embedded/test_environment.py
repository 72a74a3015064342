"""What the children are told: the caller's word goes first."""

from pathlib import Path

import pytest

from notifier.embedded.environment import Environment
from notifier.embedded.errors import StartError


def test_what_the_caller_leaves_open_is_filled_in() -> None:
    environment = Environment({"HOME": "/home/ada", "NOTIFIER_LOG_FORMAT": ""})
    environment.add("LOG_FORMAT", "json")
    assert environment.complete() == {"HOME": "/home/ada", "NOTIFIER_LOG_FORMAT": "json"}


@pytest.mark.parametrize("given", ["NOTIFIER_SECRET_KEY", "NOTIFIER_SECRET_KEY_FILE"])
def test_what_the_caller_gives_is_kept(given: str) -> None:
    environment = Environment({given: "theirs"})
    environment.add("SECRET_KEY_FILE", "ours")
    assert environment.gives("SECRET_KEY")
    assert environment.complete() == {given: "theirs"}


def test_host_and_port_are_the_ones_of_the_command_line() -> None:
    environment = Environment({"NOTIFIER_PORT": "1"})
    environment.put("PORT", 8123)
    assert environment.complete() == {"NOTIFIER_PORT": "8123"}


def test_the_worker_shows_its_figures_one_port_above_the_scheduler() -> None:
    environment = Environment({"NOTIFIER_METRICS_PORT": "9100"})
    assert environment.complete() == {"NOTIFIER_METRICS_PORT": "9100"}
    assert environment.of_worker() == {"NOTIFIER_METRICS_PORT": "9101"}
    assert Environment({"HOME": "/"}).of_worker() == {"HOME": "/"}


@pytest.mark.parametrize("port", ["0", "65535", "99999", "-1", "many", "²"])
def test_a_port_for_figures_without_one_above_is_refused(port: str) -> None:
    with pytest.raises(StartError, match="NOTIFIER_METRICS_PORT must be a number from 1 to 65534"):
        Environment({"NOTIFIER_METRICS_PORT": port}).of_worker()


def test_a_value_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://somewhere/0\n")
    environment = Environment({"NOTIFIER_REDIS_URL_FILE": str(tmp_path / "url")})
    assert environment.value("REDIS_URL") == "redis://somewhere/0"


def test_a_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(StartError, match=r"NOTIFIER_REDIS_URL_FILE: cannot read /no/such/file"):
        Environment({"NOTIFIER_REDIS_URL_FILE": "/no/such/file"}).value("REDIS_URL")
