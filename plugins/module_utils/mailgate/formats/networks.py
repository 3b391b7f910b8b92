# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Networks in CIDR form, and the addresses of tcprules that match exactly the same."""

from __future__ import annotations

import ipaddress
import socket
from bisect import bisect_right
from collections.abc import Iterable
from typing import Union

from ..core.errors import BadInput

# Union, because Python 3.9 evaluates an alias.
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

RELAY_MINIMUM_PREFIX_LENGTH = 8


def parse_network(text: str, thing: str = "network") -> Network:
    """Parse CIDR text such as '10.0.0.0/24' to a network; the message of BadInput begins with thing."""
    if not isinstance(text, str):
        raise BadInput(f"{thing}: {text!r} is not a string; expected a network such as '10.0.0.0/24'")
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
            f"{thing}: {text!r} has host bits set; expected '{loose}', "
            f"or '{address}/{loose.max_prefixlen}' for this one host"
        )
    if text.partition("/")[2] != str(loose.prefixlen) or (loose.version == 4 and text != str(loose)):
        raise BadInput(f"{thing}: {text!r} is not in the usual form; expected '{loose}'")
    return loose


def parse_networks(
    texts: Iterable[str], thing: str = "network", minimum_prefix_length: int = 0
) -> tuple[Network, ...]:
    """Parse networks; return them in ascending order, without those that lie inside another one.

    Neighbours are not joined, so that each network keeps the name that the site gave it. Raises BadInput for
    a text that is not a network, is IPv6, or is wider than minimum_prefix_length.
    """
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        raise BadInput(
            f"{thing}s: {texts!r} is not a list; expected a list of networks such as ['10.0.0.0/24']"
        )
    parsed = (parse_network(text, f"{thing} {number}") for number, text in enumerate(texts, 1))
    return checked_networks(parsed, thing, minimum_prefix_length)


def checked_networks(
    networks: Iterable[Network], thing: str = "network", minimum_prefix_length: int = 0
) -> tuple[Network, ...]:
    """Return the networks in ascending order, without those that lie inside another one.

    Raises BadInput for a network that is IPv6 or wider than minimum_prefix_length.
    """
    checked: set[Network] = set()
    for number, network in enumerate(networks, 1):
        where = f"{thing} {number}: '{network}'"
        if network.version != 4:
            raise BadInput(f"{where} is IPv6, which is not supported yet; expected an IPv4 network")
        if network.prefixlen < minimum_prefix_length:
            raise BadInput(
                f"{where} is wider than /{minimum_prefix_length}; "
                f"expected a prefix length from {minimum_prefix_length} to {network.max_prefixlen}"
            )
        checked.add(network)
    kept: list[Network] = []
    for network in sorted(checked, key=network_order):
        if not kept or not contains(kept[-1], network):
            kept.append(network)
    return tuple(kept)


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


def address_number(text: str) -> int:
    """Return an IPv4 address as a number; the text must be valid (called for hundreds of thousands)."""
    return int.from_bytes(socket.inet_aton(text), "big")


class AddressSet:
    """A set of IPv4 addresses as disjoint intervals; a lookup is a bisection."""

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

    def __contains__(self, address: str) -> bool:
        number = address_number(address)
        return self.covers(number, number)

    def intervals(self) -> list[tuple[int, int]]:
        """Return the first and last number of each interval, ascending."""
        return list(zip(self._firsts, self._lasts))


def address_set(networks: Iterable[Network]) -> AddressSet:
    """Return the set of the networks' IPv4 addresses."""
    return AddressSet(
        (int(one.network_address), int(one.broadcast_address)) for one in networks if one.version == 4
    )


def rule_address(network: Network) -> str:
    """Return the address for a line of tcprules that matches exactly this network.

    Whole octets become a prefix ('10.0.0.'), the rest a range in the octet where the network ends
    ('10.0.0-3.', '198.51.100.64-127'), a single host its address and 0.0.0.0/0 the empty address.
    Source: tcprules.c, doaddressdata(), and rules.c of ucspi-tcp 0.88. Raises BadInput for IPv6.
    """
    if network.version != 4:
        raise BadInput(f"network: '{network}' is IPv6, which is not supported yet; expected an IPv4 network")
    if network.prefixlen == 0:
        return ""
    octets = (network.prefixlen + 7) // 8
    first = str(network.network_address).split(".")
    last = str(network.broadcast_address).split(".")
    ending = first[octets - 1]
    if ending != last[octets - 1]:
        ending += "-" + last[octets - 1]
    return ".".join([*first[: octets - 1], ending]) + ("." if octets < 4 else "")
