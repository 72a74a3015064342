"""Kinds, addresses and configs: what is accepted, in which form it is kept, and what is refused where."""

import threading
from typing import Any

import pytest

from notifier.channels.registry import Registry, build
from notifier.domain.errors import InvalidInput
from tests.channels.samples import settings


@pytest.fixture
def registry() -> Registry:
    return build(settings(allow_private_destinations=()))


def refused(registry: Registry, kind: str, config: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as refusal:
        registry.validate_config(kind, config)
    return [(problem.pointer, problem.code) for problem in refusal.value.problems]


@pytest.mark.parametrize(
    ("address", "kind", "config"),
    [
        ("log:", "log", {}),
        ("https://example.com/hook?a=b", "webhook", {"url": "https://example.com/hook?a=b"}),
        ("HTTP://Example.COM", "webhook", {"url": "http://example.com"}),
        ("https://exämple.com/ä", "webhook", {"url": "https://xn--exmple-cua.com/%C3%A4"}),
        ("https://1.1.1.1:8443/", "webhook", {"url": "https://1.1.1.1:8443/"}),
        ("mailto:ada@example.com", "email", {"to": ["ada@example.com"]}),
        ("MAILTO:Ada@EXAMPLE.com", "email", {"to": ["Ada@example.com"]}),
        (
            "mailto:a@example.com,%62@example.com, a@example.com",
            "email",
            {"to": ["a@example.com", "b@example.com"]},
        ),
        ("mailto:ada@exämple.com", "email", {"to": ["ada@xn--exmple-cua.com"]}),
        ("mailto:jürgen@example.com", "email", {"to": ["jürgen@example.com"]}),
        ("mailto:root@localhost", "email", {"to": ["root@localhost"]}),
        ("mailto:ada@mail.internal", "email", {"to": ["ada@mail.internal"]}),
    ],
)
def test_an_address_stands_for_a_canonical_config(
    registry: Registry, address: str, kind: str, config: dict[str, Any]
) -> None:
    assert registry.parse_address(address) == (kind, config)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.com/secret?token=x", "example.com"),
        ("https://example.com:443/", "example.com"),
        ("http://example.com:443/", "example.com:443"),
        ("https://example.com:8443/secret", "example.com:8443"),
        ("http://[2606:4700::1]:9000/", "[2606:4700::1]:9000"),
    ],
)
def test_a_webhook_is_named_after_its_server_never_after_its_path(
    registry: Registry, url: str, name: str
) -> None:
    assert registry.label("webhook", {"url": url}) == name


@pytest.mark.parametrize(
    ("address", "code", "says"),
    [
        ("", "unsupported_address", "mailto:ada@example.com"),
        ("ftp://example.com", "unsupported_address", "log:"),
        ("ada@example.com", "unsupported_address", "log:"),
        ("log:x", "unsupported_address", "log:"),
        ("mailto:", "invalid_email", "not a mail address"),
        ("mailto:ada", "invalid_email", "not a mail address"),
        ("mailto:a@example.com,,b@example.com", "invalid_email", "not a mail address"),
        ("mailto:Ada <ada@example.com>", "invalid_email", "not a mail address"),
        ("mailto:a@example.com%0d%0aBcc:x@example.com", "invalid_email", "not a mail address"),
        ("mailto:a@example.com%2Cb@example.com", "invalid_email", "not a mail address"),
        ("mailto:a@[127.0.0.1]", "invalid_email", "not a mail address"),
        ("mailto:" + "a" * 65 + "@example.com", "invalid_email", "not a mail address"),
        ("mailto:a@example.com?cc=b@example.com", "unsupported_address", "'cc'"),
        ("mailto:a@example.com?subject=x", "unsupported_address", "'subject'"),
        ("http://127.0.0.1/", "address_not_allowed", "private"),
    ],
)
def test_a_wrong_address_is_refused_with_what_would_be_right(
    registry: Registry, address: str, code: str, says: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        registry.parse_address(address)
    (problem,) = refusal.value.problems
    assert (problem.pointer, problem.code) == ("", code)
    assert says in problem.detail


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://example.com/", "invalid_url"),
        ("https://", "invalid_url"),
        ("https:///path", "invalid_url"),
        ("//example.com/", "invalid_url"),
        ("https://user:password@example.com/", "invalid_url"),
        ("https://user@example.com/", "invalid_url"),
        ("https://example.com/#part", "invalid_url"),
        ("https://example.com:0/", "invalid_url"),
        ("https://example.com:65536/", "invalid_url"),
        ("https://example.com:port/", "invalid_url"),
        ("https://exa mple.com/", "invalid_url"),
        ("https://example.com/\r\nX: y", "invalid_url"),
        ("https://example.com/\x00", "invalid_url"),
        ("https://example.com\\@127.0.0.1/", "invalid_url"),
        ("https://ex%61mple.com/", "invalid_url"),
        ("https://a..b/", "invalid_url"),
        ("https://" + "a" * 64 + ".com/", "invalid_url"),
        ("https://[::1/", "invalid_url"),
        ("http://127.1/", "invalid_url"),
        ("http://2130706433/", "invalid_url"),
        ("http://0x7f000001/", "invalid_url"),
        ("http://1.1.1.1./", "invalid_url"),
        ("https://example.com/" + "a" * 2048, "string_too_long"),
        ("https://example.com/" + "ä" * 1000, "invalid_url"),
        ("http://localhost:8000/", "address_not_allowed"),
        ("http://hook.localhost./", "address_not_allowed"),
        ("http://127.0.0.1/", "address_not_allowed"),
        ("http://127。0。0。1/", "address_not_allowed"),
        ("http://169.254.169.254/latest/meta-data", "address_not_allowed"),
        ("http://10.1.2.3/", "address_not_allowed"),
        ("http://[::1]/", "address_not_allowed"),
        ("http://[::ffff:10.0.0.1]/", "address_not_allowed"),
        ("http://[fe80::1]/", "address_not_allowed"),
    ],
)
def test_a_url_that_cannot_be_a_webhook_is_refused_on_save(registry: Registry, url: str, code: str) -> None:
    assert refused(registry, "webhook", {"url": url}) == [("/config/url", code)]


def test_networks_that_the_operator_allows_are_accepted_on_save() -> None:
    lenient = build(settings())
    for url in ("http://127.0.0.1:8000/", "http://localhost/", "http://[::1]/"):
        assert lenient.validate_config("webhook", {"url": url}) == {"url": url}


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "a\r\nX-B: b"},
        {"X-A": "a\nb"},
        {"X-A": "a\x00"},
        {"X-A": "ä"},
        {"X-A": " a"},
        {"X A": "a"},
        {"X:A": "a"},
        {"": "a"},
        {"X-A\r\nX-B": "b"},
        {"Webhook-Id": "a"},
        {"webhook-anything": "a"},
        {"HOST": "a"},
        {"Content-Length": "1"},
        {"content-type": "text/plain"},
        {"Transfer-Encoding": "chunked"},
        {"connection": "close"},
        {"Expect": "100-continue"},
        {"X-A": "1", "x-a": "2"},
        {f"X-{n}": "a" for n in range(21)},
        {"X-A": "a" * 4096},
    ],
)
def test_a_header_that_could_break_the_request_is_refused(
    registry: Registry, headers: dict[str, str]
) -> None:
    config = {"url": "https://example.com/", "headers": headers}
    assert refused(registry, "webhook", config) == [("/config/headers", "invalid_header")]


def test_headers_are_kept(registry: Registry) -> None:
    config = {"url": "https://example.com/", "headers": {"Authorization": "Bearer x", "X-Empty": ""}}
    assert registry.validate_config("webhook", config) == config


@pytest.mark.parametrize(
    ("kind", "config", "problem"),
    [
        ("webhook", {}, ("/config/url", "missing")),
        ("webhook", {"url": 5}, ("/config/url", "string_type")),
        ("email", {}, ("/config/to", "missing")),
        ("email", {"to": []}, ("/config/to", "too_short")),
        ("email", {"to": ["a@example.com"] * 51}, ("/config/to", "too_long")),
        ("email", {"to": [5]}, ("/config/to/0", "string_type")),
        ("email", {"to": "a@example.com"}, ("/config/to", "list_type")),
        ("email", {"to": ["a@example.com\r\nRCPT TO:<b@c>"]}, ("/config/to", "invalid_email")),
        ("pigeon", {}, ("/kind", "unknown_kind")),
        ("log", {"a/b~c": 1}, ("/config/a~1b~0c", "extra_forbidden")),
    ],
)
def test_a_wrong_config_is_refused_at_its_place(
    registry: Registry, kind: str, config: dict[str, Any], problem: tuple[str, str]
) -> None:
    assert refused(registry, kind, config) == [problem]


def test_the_same_destination_has_the_same_fingerprint(registry: Registry) -> None:
    kind, config = registry.parse_address("HTTPS://EXAMPLE.com/a")
    typed = registry.validate_config("webhook", {"headers": {}, "url": "https://example.com/a"})
    assert registry.fingerprint(kind, config) == registry.fingerprint("webhook", typed)


def test_other_destinations_have_other_fingerprints(registry: Registry) -> None:
    configs = [
        ("log", {}),
        ("email", {}),
        ("webhook", {"url": "https://example.com/a"}),
        ("webhook", {"url": "https://example.com/b"}),
        ("webhook", {"url": "https://example.com/a", "headers": {"X": "1"}}),
    ]
    assert len({registry.fingerprint(kind, config) for kind, config in configs}) == len(configs)


def test_a_fingerprint_tells_no_secret(registry: Registry) -> None:
    config = {"url": "https://example.com/", "headers": {"Authorization": "hunter2"}}
    assert "hunter2" not in registry.fingerprint("webhook", config)


def test_only_webhooks_are_signed(registry: Registry) -> None:
    assert [kind for kind in registry.kinds if registry.signs(kind)] == ["webhook"]


async def test_a_registry_that_sends_nothing_opens_nothing() -> None:
    threads = threading.active_count()
    unused = build(settings())
    await unused.aclose()
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    ("kind", "smtp_host", "lacks"),
    [
        ("email", None, True),
        ("email", "mail.example.com", False),
        ("log", None, False),
        ("webhook", None, False),
    ],
)
def test_mail_lacks_a_mail_server_and_nothing_else_lacks_anything(
    kind: str, smtp_host: str | None, lacks: bool
) -> None:
    assert (build(settings(smtp_host=smtp_host)).lack(kind) is not None) is lacks
