# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses of clients: as the programs write them into the log, and as people write them.

The programs write what inet_ntop() returns, so each address has one form there, and one of IPv4 that is
written as IPv6 is that of IPv4. Where ':' separates fields, an IPv6 address stands in brackets.
"""

from __future__ import annotations

import ipaddress
import socket

from ..core.errors import BadInput
from .networks import Network, client_address

EXPECTED = "expected one such as '192.0.2.7' or '2001:db8::7'"
TEXT_CHARACTERS_MAX = 100

# For patterns of log lines
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"(?:{_OCTET}\.){{3}}{_OCTET}"
_GROUP = "[0-9a-f]{1,4}"
_IPV6 = (
    rf"(?:(?:{_GROUP}:){{7}}{_GROUP}"
    rf"|(?:{_GROUP}(?::{_GROUP}){{0,6}})?::(?:(?:{_GROUP}:){{0,5}}{_IPV4}|(?:{_GROUP}(?::{_GROUP}){{0,6}})?))"
)
IP = rf"(?:{_IPV4}|{_IPV6})"
IP_FIELD = rf"(?:{_IPV4}|\[{_IPV6}\]|{_IPV6})"  # between colons


def in_field(address: str) -> str:
    """Return an address as it stands between colons: one of IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


def without_brackets(text: str) -> str:
    """Return an address of a log line without the brackets of an IPv6 address."""
    return text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text


def canonical(text: str, thing: str = "address") -> str:
    """Return an address in the form that the programs write, from any form; raises BadInput.

    Accepted are brackets around it, also as '[IPv6:2001:db8::7]' (RFC 5321 4.1.3).
    """
    bare = without_brackets(text.strip()) if len(text) <= TEXT_CHARACTERS_MAX else ""
    if bare[:5].lower() == "ipv6:" and ":" in bare[5:]:
        bare = bare[5:]
    try:
        one = client_address(bare)
    except BadInput as error:
        raise BadInput(f"{thing}: {text!r:.120} is not an address; {EXPECTED}") from error
    return str(one) if one.version == 4 else socket.inet_ntop(socket.AF_INET6, one.packed)


def network_of(text: str, thing: str = "network") -> Network:
    """Return the network that a text in any form names, an address as that of its whole length.

    Bits behind the prefix are ignored. Raises BadInput.
    """
    address, slash, prefix = text.strip().rpartition("/") if "/" in text else (text, "", "")
    known = canonical(address, thing)
    if not slash:
        return ipaddress.ip_network(known)
    mapped = ":" in address and ":" not in known  # ::ffff:192.0.2.0/120 is 192.0.2.0/24
    try:
        bits = int(prefix) if prefix.isascii() and prefix.isdigit() and len(prefix) <= 3 else -1
        return ipaddress.ip_network((known, bits - 96 if mapped else bits), strict=False)
    except ValueError as error:
        expected = "expected one such as '192.0.2.0/24' or '2001:db8::/64'"
        raise BadInput(f"{thing}: {text!r:.120} is not a network; {expected}") from error
