# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys of compiled rules: those of tcprules for IPv4 and names, and one key for each network of IPv6.

The key of an IPv6 network is '[BITS]/LENGTH': the bytes that hold the prefix in lower-case hexadecimal,
with the bits behind it 0, and the prefix length in decimal. That of [2001:db8::]/32 is '[20010db8]/32',
that of [2001:db8::]/33 '[20010db800]/33' and that of [::]/0 '[]/0'. No key of tcprules begins with '[':
those of addresses begin with a digit, those of names with '=', and no rule for an ident answer may begin
with '['. The record with LENGTHS_KEY lists the prefix lengths that occur, one byte each, the longest
first, so that a lookup tries these and not all 129. src/common/tcprule.c reads what is written here.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator

from .networks import IPV6_FIRST, LINE_END, rule_address

LENGTHS_KEY = "[]"


def is_ipv6_key(key: str) -> bool:
    """Return whether a key is that of an IPv6 network."""
    return key[:1] == "["


def ipv6_key(number: int, length: int) -> str:
    """Return the key of the network of that length around an address, given as its 128 bits."""
    if not length:
        return "[]/0"
    octets = (length + 7) // 8
    return f"[{number >> 128 - length << 8 * octets - length:0{2 * octets}x}]/{length}"


def ipv6_key_parts(key: str) -> tuple[int, int]:
    """Return the 128 bits of the first address, and the prefix length, of an IPv6 key."""
    digits, _end, length = key[1:].partition("]/")
    return int(digits or "0", 16) << 128 - 4 * len(digits), int(length)


def network_key(network: ipaddress.IPv6Network) -> str:
    """Return the key of an IPv6 network."""
    return ipv6_key(int(network.network_address), network.prefixlen)


def shown_key(key: str) -> str:
    """Return a key as a rule writes it: that of IPv6 as '[2001:db8::]/32', any other unchanged."""
    return rule_address(ipaddress.IPv6Network(ipv6_key_parts(key))) if is_ipv6_key(key) else key


def lengths_of(keys: Iterable[str]) -> tuple[int, ...]:
    """Return the prefix lengths of the IPv6 networks among the keys, the longest first."""
    found = {key.rpartition("/")[2] for key in keys if key[:1] == "["}
    return tuple(sorted(map(int, found), reverse=True))


def ipv6_lookup_keys(number: int, lengths: Iterable[int]) -> Iterator[str]:
    """Yield the keys that a lookup of an IPv6 address, given as its 128 bits, tries."""
    return (ipv6_key(number, length) for length in lengths)


def around(key: str, lengths: Iterable[int]) -> Iterator[str]:
    """Yield the key of an address or network, then the keys of the wider networks, narrowest first.

    lengths: the prefix lengths of IPv6 to try, the longest first.
    """
    yield key
    if is_ipv6_key(key):
        number, own = ipv6_key_parts(key)
        yield from ipv6_lookup_keys(number, (length for length in lengths if length < own))
    else:
        end = key[:-1].rfind(".")
        while end != -1:
            yield key[: end + 1]
            end = key.rfind(".", 0, end)
    if key:
        yield ""


def key_interval(key: str) -> tuple[int, int] | None:
    """Return the first and last number on the line of addresses that a key can match, or None for a name.

    The empty key matches every address of both families.
    """
    address = key.rpartition("@")[2] if "@" in key else key
    if address[:1] == "=":
        return None
    if address[:1] == "[":
        number, length = ipv6_key_parts(address)
        return number + IPV6_FIRST, number + IPV6_FIRST + (1 << 128 - length) - 1
    dots = address.count(".")
    if dots == 3 and address[-1:] != ".":
        first = int.from_bytes(socket.inet_aton(address), "big")
        return first, first
    if not address:
        return 0, LINE_END - 1
    missing = 4 - dots
    first = int.from_bytes(socket.inet_aton(address + "0.0.0.0"[: 2 * missing - 1]), "big")
    return first, first + 256**missing - 1


def is_host_address(key: str) -> bool:
    """Return whether a key is a single address or a name, not a network."""
    if is_ipv6_key(key):
        return key[-5:] == "]/128"
    return key[-1:] != "." and key != ""
