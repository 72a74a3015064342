"""Which addresses may be dialled."""

from ipaddress import ip_address, ip_network

import pytest

from notifier.channels.egress import is_allowed, literal

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("1.1.1.1", True),
        ("93.184.215.14", True),
        ("100.63.255.255", True),
        ("100.128.0.1", True),
        ("172.32.0.1", True),
        ("192.0.1.1", True),
        ("198.20.0.1", True),
        ("223.255.255.255", True),
        ("0.0.0.0", False),
        ("0.1.2.3", False),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("127.255.255.254", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("172.31.255.255", False),
        ("192.0.0.170", False),
        ("192.0.2.1", False),
        ("192.88.99.1", False),
        ("192.168.1.1", False),
        ("198.18.0.1", False),
        ("198.51.100.7", False),
        ("203.0.113.7", False),
        ("224.0.0.1", False),
        ("239.255.255.250", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("2606:4700:4700::1111", True),
        ("2a00:1450:4001::200e", True),
        ("::", False),
        ("::1", False),
        ("::2", False),  # compatible: 0.0.0.2
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("fc00::1", False),
        ("fd00:ec2::254", False),  # a cloud's metadata service
        ("ff02::1", False),
        ("100::1", False),
        ("2001:db8::1", False),
        ("3fff::1", False),
        ("2001:2::1", False),
        ("2001:20::1", False),
        ("5f00::1", False),
        ("::ffff:8.8.8.8", True),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("::10.0.0.1", False),
        ("64:ff9b::8.8.8.8", True),
        ("64:ff9b::127.0.0.1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::8.8.8.8", False),
        ("2002:0808:0808::1", True),  # 6to4 of 8.8.8.8
        ("2002:7f00:0001::1", False),  # 6to4 of 127.0.0.1
        ("2002:c0a8:0101::1", False),  # 6to4 of 192.168.1.1
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),  # Teredo
    ],
)
def test_only_global_unicast_may_be_dialled(address: str, expected: bool) -> None:
    assert is_allowed(ip_address(address)) is expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("64:ff9b::127.0.0.1", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("8.8.8.8", True),
    ],
)
def test_allowed_networks_may_be_dialled_as_well(address: str, expected: bool) -> None:
    assert is_allowed(ip_address(address), LOOPBACK) is expected


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("127.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("example.com", None),
        ("1.example.com", None),
        ("1e100.net", None),
    ],
)
def test_a_host_that_spells_an_address_is_read_as_one(host: str, address: str | None) -> None:
    assert literal(host) == (ip_address(address) if address else None)
