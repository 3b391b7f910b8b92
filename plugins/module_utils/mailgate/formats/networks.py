# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses and networks of both families, and the addresses of rules that match exactly the same.

Sets of addresses work on one line of numbers: an IPv4 address is its own number, an IPv6 address its
number plus IPV6_FIRST. The gap between the families keeps them apart. An IPv4-mapped address
(::ffff:192.0.2.1) is that IPv4 address everywhere.
"""

from __future__ import annotations

import ipaddress
import socket
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple, Union

from ..core.errors import BadInput

# Union, because Python 3.9 evaluates an alias.
Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

IPV4_END = 1 << 32  # the first number after the IPv4 addresses
IPV6_FIRST = 1 << 128  # the number of ::
LINE_END = 1 << 129  # the first number after the IPv6 addresses
LOOPBACKS: tuple[Network, ...] = (ipaddress.IPv4Network("127.0.0.1/32"), ipaddress.IPv6Network("::1/128"))

# Networks that reach nobody else over the internet: RFC 1918, 6598, 3927, 4193, 4291.
PRIVATE_NETWORKS: tuple[Network, ...] = (
    *map(ipaddress.IPv4Network, ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16")),
    *map(ipaddress.IPv4Network, ("172.16.0.0/12", "192.168.0.0/16")),
    *map(ipaddress.IPv6Network, ("::1/128", "fc00::/7", "fe80::/10")),
)


_TEREDO = ipaddress.IPv6Network("2001::/32")
# IPv6 networks whose addresses stand for hosts of IPv4, where the IPv4 address begins, and what they are for.
_BEHIND: tuple[tuple[ipaddress.IPv6Network, int, str], ...] = (
    (ipaddress.IPv6Network("64:ff9b::/96"), 96, "NAT64, RFC 6052"),
    (ipaddress.IPv6Network("64:ff9b:1::/48"), 96, "NAT64, RFC 8215"),
    (ipaddress.IPv6Network("2002::/16"), 16, "6to4, RFC 3056"),
    (_TEREDO, 96, "Teredo, RFC 4380"),
    (ipaddress.IPv6Network("::/96"), 96, "IPv4-compatible addresses, RFC 4291"),
    (ipaddress.IPv6Network("::ffff:0:0/96"), 96, "IPv4-mapped addresses, RFC 4291"),
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 96, "IPv4-translated addresses, RFC 7915"),
)
# Of these, where a translator puts every client of IPv4, many of them into one /64.
TRANSLATED = tuple(prefix for prefix, begin, _what in _BEHIND if begin == 96 and prefix != _TEREDO)


class Widest(NamedTuple):
    """The shortest prefix length that is allowed, by family.

    With ipv4_behind the IPv4 addresses that stand in a network of IPv6 are limited as those of IPv4 are.
    """

    ipv4: int = 0
    ipv6: int = 0
    ipv4_behind: bool = False

    def fault(self, network: Network) -> str:
        """Return why a network is too wide, or ''."""
        shortest = self.ipv4 if network.version == 4 else self.ipv6
        behind = self._fault_behind(network) if self.ipv4_behind and network.version == 6 else ""
        if behind or network.prefixlen >= shortest:
            return behind
        return (
            f"is wider than /{shortest}; expected a prefix length from {shortest} to {network.max_prefixlen}"
        )

    def _fault_behind(self, network: Network) -> str:
        for prefix, begin, what in _BEHIND:
            least = max(begin + self.ipv4, self.ipv6)
            inside = contains(prefix, network)
            if inside and network.prefixlen < least:
                return (
                    f"has more than a /{self.ipv4} of IPv4 behind it, {prefix} ({what}); expected a prefix "
                    f"length from {least} to 128"
                )
            if not inside and network.prefixlen >= self.ipv6 and contains(network, prefix):
                return f"has all of IPv4 behind it, in {prefix} ({what}); expected networks outside of that"
        return ""


ANY_WIDTH = Widest()
RELAY_WIDEST = Widest(8, 32, ipv4_behind=True)
NOT_EVERYBODY = Widest(1, 4)  # 2000::/3 is the whole public Internet of IPv6


def client_address(text: str, thing: str = "address") -> Address:
    """Parse a client's address in any usual form; raises BadInput. IPv4-mapped addresses become IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise BadInput(
            f"{thing}: {text!r} is not an address; expected one such as '192.0.2.1' or '2001:db8::1'"
        ) from error
    if "%" in text:
        raise BadInput(
            f"{thing}: {text!r} has a zone; expected the address without '%{text.partition('%')[2]}'"
        )
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def as_ipv4(network: Network) -> Network:
    """Return an IPv4-mapped network as the IPv4 network that it is, any other network unchanged."""
    if network.version == 6 and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.IPv4Network((int(mapped), network.prefixlen - 96))
    return network


def parse_network(text: str, thing: str = "network") -> Network:
    """Parse CIDR text such as '10.0.0.0/24' or '2001:db8::/32'; the message of BadInput begins with thing.

    IPv6 may be written in any usual form; IPv4-mapped networks become IPv4.
    """
    if not isinstance(text, str):
        raise BadInput(f"{thing}: {text!r} is not a string; expected a network such as '10.0.0.0/24'")
    if ":" in text and "%" in text:
        zone = text.partition("%")[2].partition("/")[0]
        raise BadInput(f"{thing}: {text!r} has a zone; expected the network without '%{zone}'")
    if text.startswith("[") and ":" in text:
        bare = text.replace("[", "").replace("]", "")
        raise BadInput(f"{thing}: {text!r} has brackets; expected it without them, {bare!r}")
    try:
        loose = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise BadInput(f"{thing}: {text!r} is not a network; expected one such as '10.0.0.0/24'") from error
    address = text.partition("/")[0]
    if "/" not in text:
        raise BadInput(
            f"{thing}: {text!r} has no prefix length; expected '{address}/{loose.max_prefixlen}' for a host, "
            "or a network such as '10.0.0.0/24'"
        )
    if ipaddress.ip_address(address) != loose.network_address:
        raise BadInput(
            f"{thing}: {text!r} has host bits set; expected '{as_ipv4(loose)}', "
            f"or '{address}/{loose.max_prefixlen}' for this one host"
        )
    if text.partition("/")[2] != str(loose.prefixlen) or (loose.version == 4 and text != str(loose)):
        raise BadInput(f"{thing}: {text!r} is not in the usual form; expected '{loose}'")
    return as_ipv4(loose)


def parse_networks(
    texts: Iterable[str], thing: str = "network", widest: Widest = ANY_WIDTH
) -> tuple[Network, ...]:
    """Parse networks; return them in ascending order, without those that lie inside another one.

    Neighbours are not joined, so that each network keeps the name that the site gave it. Raises BadInput for
    a text that is not a network, or is wider than allowed.
    """
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        raise BadInput(
            f"{thing}s: {texts!r} is not a list; expected a list of networks such as ['10.0.0.0/24']"
        )
    parsed = (parse_network(text, f"{thing} {number}") for number, text in enumerate(texts, 1))
    return checked_networks(parsed, thing, widest)


def checked_networks(
    networks: Iterable[Network], thing: str = "network", widest: Widest = ANY_WIDTH
) -> tuple[Network, ...]:
    """Return the networks in ascending order, without those that lie inside another one.

    Raises BadInput for a network that is wider than allowed.
    """
    checked: set[Network] = set()
    for number, network in enumerate(networks, 1):
        if fault := widest.fault(network):
            raise BadInput(f"{thing} {number}: '{network}' {fault}")
        checked.add(network)
    kept: list[Network] = []
    for network in sorted(checked, key=network_order):
        if not kept or not contains(kept[-1], network):
            kept.append(network)
    return tuple(kept)


def ends_in_ipv4(network: Network) -> bool:
    """Return whether each address of a network of IPv6 stands for one of IPv4, as behind NAT64."""
    return any(begin == 96 and contains(prefix, network) for prefix, begin, _what in _BEHIND)


def network_order(network: Network) -> tuple[int, int, int]:
    """Return the key that sorts networks by their first address, then the wider one first."""
    return network.version, int(network.network_address), network.prefixlen


def contains(outer: Network, inner: Network) -> bool:
    """Return whether every address of inner is in outer; different IP versions have no address in common."""
    return (
        outer.version == inner.version
        and outer.prefixlen <= inner.prefixlen
        and int(outer.network_address) <= int(inner.network_address)
        and int(inner.broadcast_address) <= int(outer.broadcast_address)
    )


# Sets of addresses


def address_number(text: str) -> int:
    """Return an address as a number on the line; the text must be valid (this runs for every rule)."""
    if ":" not in text:
        return int.from_bytes(socket.inet_aton(text), "big")
    number = int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")
    return number & 0xFFFFFFFF if number >> 32 == 0xFFFF else number + IPV6_FIRST


def number_address(number: int) -> Address:
    """Return the address of a number on the line."""
    if number < IPV6_FIRST:
        return ipaddress.IPv4Address(number)
    return ipaddress.IPv6Address(number - IPV6_FIRST)


def is_address_number(number: int) -> bool:
    """Return whether a number on the line is that of an address, and not in the gap or after the end."""
    return number < IPV4_END or IPV6_FIRST <= number < LINE_END


def network_interval(network: Network) -> tuple[int, int]:
    """Return the first and last number of a network."""
    first = int(network.network_address) + (0 if network.version == 4 else IPV6_FIRST)
    return first, first + (1 << (network.max_prefixlen - network.prefixlen)) - 1


def text_interval(text: str) -> tuple[int, int]:
    """Return the first and last number of an address or a network in CIDR form; the text must be valid."""
    if "/" not in text:
        first = address_number(text)
        return first, first
    address, _slash, length = text.partition("/")
    first = address_number(address)
    return first, first + (1 << ((32 if first < IPV4_END else 128) - int(length))) - 1


class AddressSet:
    """A set of addresses of both families as disjoint intervals on the line; a lookup is a bisection."""

    def __init__(self, intervals: Iterable[tuple[int, int]]) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in sorted(intervals):
            if self._lasts and first <= self._lasts[-1] + 1:
                self._lasts[-1] = max(self._lasts[-1], last)
            else:
                self._firsts.append(first)
                self._lasts.append(last)

    def covers(self, first: int, last: int) -> bool:
        """Return whether all addresses from first to last are in the set."""
        at = bisect_right(self._firsts, first) - 1
        return at >= 0 and last <= self._lasts[at]

    def overlaps(self, first: int, last: int) -> bool:
        """Return whether one of the addresses from first to last is in the set."""
        at = bisect_right(self._firsts, last) - 1
        return at >= 0 and first <= self._lasts[at]

    def __contains__(self, address: str) -> bool:
        number = address_number(address)
        return self.covers(number, number)

    def intervals(self) -> list[tuple[int, int]]:
        """Return the first and last number of each interval, ascending."""
        return list(zip(self._firsts, self._lasts))

    def ipv4_intervals(self) -> list[tuple[int, int]]:
        """Return the intervals of IPv4 addresses, ascending."""
        return [(first, last) for first, last in self.intervals() if last < IPV4_END]


def address_set(networks: Iterable[Network]) -> AddressSet:
    """Return the set of the networks' addresses."""
    return AddressSet(map(network_interval, networks))


def rule_address(network: Network) -> str:
    """Return the address for a line of rules that matches exactly this network.

    Whole octets become a prefix ('10.0.0.'), the rest a range in the octet where the network ends
    ('10.0.0-3.', '198.51.100.64-127'), a single host its address and 0.0.0.0/0 the empty address, which
    matches clients of IPv6 as well. Source: tcprules.c, doaddressdata(), and rules.c of ucspi-tcp 0.88. IPv6
    is written in brackets: '[2001:db8::]/32', a single host '[2001:db8::1]'.
    """
    if network.version == 6:
        length = "" if network.prefixlen == 128 else f"/{network.prefixlen}"
        return f"[{network.network_address}]{length}"
    if network.prefixlen == 0:
        return ""
    octets = (network.prefixlen + 7) // 8
    first = str(network.network_address).split(".")
    last = str(network.broadcast_address).split(".")
    ending = first[octets - 1]
    if ending != last[octets - 1]:
        ending += "-" + last[octets - 1]
    return ".".join([*first[: octets - 1], ending]) + ("." if octets < 4 else "")
