"""Wrong addresses are told before anything starts."""

import socket

import pytest

from notifier.embedded import checks
from notifier.embedded.errors import StartError


def test_a_taken_port_is_told_with_another_one_to_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"Port {port} is taken on 127.0.0.1; .*{port + 1}"):
            checks.check_address_is_free("127.0.0.1", port)


def test_a_host_that_does_not_exist_is_told() -> None:
    with pytest.raises(StartError, match="Unknown host"):
        checks.check_address_is_free("no such host", 8000)


@pytest.mark.parametrize("url", ["postgresql://ada@127.0.0.1:1/x", "postgresql+asyncpg://ada@127.0.0.1:1/x"])
def test_a_database_that_does_not_answer_is_told_in_one_line(url: str) -> None:
    with pytest.raises(StartError, match=r"^NOTIFIER_DATABASE_URL: cannot reach PostgreSQL: [^\n]+$"):
        checks.check_database(url)


def test_a_database_of_the_wrong_kind_is_told() -> None:
    with pytest.raises(StartError, match="must begin with postgresql://"):
        checks.check_database("mysql://127.0.0.1/x")


def test_a_redis_that_does_not_answer_is_told_in_one_line() -> None:
    with pytest.raises(StartError, match=r"^NOTIFIER_REDIS_URL: cannot reach Redis: [^\n]+$"):
        checks.check_redis("redis://127.0.0.1:1/0")


def test_a_redis_address_of_the_wrong_kind_is_told() -> None:
    with pytest.raises(StartError, match="must begin with redis://"):
        checks.check_redis("http://127.0.0.1/")


def test_servers_that_answer_pass(postgres_url: str, redis_url: str) -> None:
    checks.check_database(postgres_url)
    checks.check_redis(redis_url)


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("box.lan", "http://box.lan:8000"),
    ],
)
def test_the_address_shown_is_one_that_a_browser_here_can_open(host: str, shown: str) -> None:
    assert checks.address(host, 8000) == shown
