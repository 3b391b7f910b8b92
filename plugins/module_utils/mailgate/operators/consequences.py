# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an entry means beyond the rules that it changes: who may relay, and whether it hits the site itself.

These words come first among an act's effects, because an operator who knew them might not act.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable

from ..core.errors import BadInput
from ..formats.networks import PRIVATE_NETWORKS, Network, contains, ends_in_ipv4, parse_network
from .entries import BLOCKED, CLIENTS, RECIPIENTS, RELAY, SENDERS, Entry

# More public addresses than these belong into the site file, where they are seen and stay.
PUBLIC_ADDRESSES_MAX = 256  # of one entry
PUBLIC_ADDRESSES_OF_ALL_MAX = 1024  # of all entries together
_SITE_VARIABLE = "gateway_relay_networks"

_IPV6_HOST_BITS = 64  # what one customer gets, and often one host


def public_addresses(network: Network) -> int:
    """Return how many addresses of a network are public; of IPv6 without IPv4 behind it, how many /64."""
    total = _count(network)
    for one in PRIVATE_NETWORKS:
        if contains(one, network):
            return 0
        if contains(network, one):
            total -= _count(one)
    return total


def _count(network: Network) -> int:
    if network.version == 4 or ends_in_ipv4(network):
        return network.num_addresses
    return 1 << max(0, network.max_prefixlen - _IPV6_HOST_BITS - network.prefixlen)


def _public(value: str) -> int:
    try:
        return public_addresses(parse_network(value))
    except BadInput:
        return 0


def relay_words(value: str) -> list[str]:
    """Return the words on a network that is to relay; none for a private one."""
    count = _public(value)
    if not count:
        return []
    many = "1 public address" if count == 1 else f"{count} public addresses"
    network = parse_network(value)
    if network.version == 6 and not ends_in_ipv4(network):
        many = "1 public network /64" if count == 1 else f"{count} public networks /64"
    return [f"{many} may send anywhere through this gateway, as {value} is not a private network"]


def relay_fault(entry: Entry, others: Iterable[str], *, is_root: bool) -> str:
    """Return why an operator may not let this network relay, or ''; others: the other entries' networks."""
    count = _public(entry.value)
    if not count:
        return ""
    if count > PUBLIC_ADDRESSES_MAX:
        return (
            f"{entry.value}: has {count} public addresses, which might all send anywhere; expected at most "
            f"{PUBLIC_ADDRESSES_MAX}, or the network in {_SITE_VARIABLE} of the site file"
        )
    total = count + sum(_public(one) for one in others)
    if total > PUBLIC_ADDRESSES_OF_ALL_MAX:
        return (
            f"{entry.value}: with the operators' other entries {total} public addresses might send anywhere; "
            f"expected at most {PUBLIC_ADDRESSES_OF_ALL_MAX}, or the networks in {_SITE_VARIABLE}"
        )
    if entry.note.until is None and not is_root:
        return (
            f"{entry.value}: is public, and would relay for ever; expected an end, such as 4h or 2d "
            "(--for), or root"
        )
    return ""


def own_sender_words(value: str, domains: Collection[str]) -> list[str]:
    """Return the words on a refused sender of the site's own domains (as in SMTP), or none."""
    domain = value.rpartition("@")[2]
    if domain not in domains:
        return []
    whose = f"{domain} is a domain of this site" if value.startswith("@") else f"{value} is one of this site"
    return [f"{whose}: mail that its own people send through this gateway is refused, too"]


def own_client_words(value: str, own_addresses: Iterable[str]) -> list[str]:
    """Return the words on a refused network in which an address of the gateway itself lies, or none."""
    network = parse_network(value)
    found = [
        one for one in own_addresses if contains(network, ipaddress.ip_network(ipaddress.ip_address(one)))
    ]
    return [f"{', '.join(found)} is this gateway itself"] if found else []


def words(name: str, wanted: Entry | None, domains: Collection[str], own: Iterable[str]) -> list[str]:
    """Return the words that come first among the effects of a new entry of that list."""
    if wanted is None or name == RECIPIENTS:
        return []
    if name == RELAY:
        return relay_words(wanted.value)
    if name in (SENDERS, BLOCKED):
        return own_sender_words(wanted.value, domains)
    return own_client_words(wanted.value, own) if name == CLIENTS and wanted.action == "deny" else []
