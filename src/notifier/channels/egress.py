"""The guard on outgoing connections: which addresses may be dialled, checked when they are dialled.

A check of the name alone is not enough: what a name resolves to can change between check and use. So
whoever dials asks here for each address that is about to be connected to.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# IANA's registries of special-purpose addresses. Written out, because what `ipaddress` calls global
# differs between Python's releases.
_REFUSED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, with the clouds' metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
_TEREDO = IPv6Network("2001::/32")
_LOOPBACK_OR_NONE = (IPv6Address("::"), IPv6Address("::1"))


def is_allowed(address: Address, allowed_networks: Sequence[Network] = ()) -> bool:
    """Tell whether `address` may be dialled: global unicast, or within an allowed network.

    IPv4 addresses inside IPv6 ones (mapped, compatible, NAT64, 6to4, Teredo) are judged as well.
    """
    return all(_is_allowed_itself(part, allowed_networks) for part in _parts(address))


def literal(host: str) -> Address | None:
    """Return the address that a URL's host spells out, in any form resolvers take, or None for a name."""
    with suppress(ValueError):
        return ip_address(host.strip("[]"))
    if host.replace(".", "").isalnum() and host[0].isdigit():
        with suppress(OSError):  # forms such as 127.1, 0x7f000001 and 2130706433
            return IPv4Address(socket.inet_aton(host))
    return None


def _is_allowed_itself(address: Address, allowed_networks: Sequence[Network]) -> bool:
    if any(address in network for network in allowed_networks):
        return True
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    return address in _GLOBAL_V6 and not any(address in network for network in _REFUSED_V6)


def _parts(address: Address) -> Iterator[Address]:
    """Yield every address that a packet to `address` may end up at."""
    if isinstance(address, IPv4Address) or address in _LOOPBACK_OR_NONE:
        yield address
    elif address.ipv4_mapped:
        yield address.ipv4_mapped
    elif address in _NAT64 or address in _COMPATIBLE:
        yield IPv4Address(int(address) & 0xFFFFFFFF)
    elif address in _TEREDO and address.teredo:
        yield from (address, *address.teredo)
    elif address.sixtofour:
        yield from (address, address.sixtofour)
    else:
        yield address
