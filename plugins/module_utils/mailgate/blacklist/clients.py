# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whom the adaptive blacklist counts as one client: an IPv4 address, or a network /64 of IPv6.

A site has 65,536 networks /64 in its /48 as a rule, and a host may change its address within the /64 at will
(RFC 6177, RFC 8981). So attempts count for the /64, and a /48 is refused only when several of its /64s are.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from ..core.errors import BadInput
from ..formats.logged_address import network_of

NETWORK_BITS, SITE_BITS = 64, 48
_ENDS = (f"/{NETWORK_BITS}", f"/{SITE_BITS}")
EXPECTED = "expected one such as '192.0.2.7', '2001:db8::7', or an IPv6 network /64 or /48"


def client_of(address: str) -> str:
    """Return the client of an address as the log has it: itself, or its network such as '2001:db8::/64'."""
    return _prefix(address, NETWORK_BITS) if ":" in address else address


def site_of(client: str) -> str:
    """Return the /48 around a client of IPv6, '' for one of IPv4 and for a /48."""
    return _prefix(client[: -len(_ENDS[0])], SITE_BITS) if client.endswith(_ENDS[0]) else ""


def is_site(client: str) -> bool:
    """Return whether a client, as check_client() returns it, is a /48."""
    return client.endswith(_ENDS[1])


def _prefix(address: str, bits: int) -> str:
    octets = bits // 8
    packed = socket.inet_pton(socket.AF_INET6, address)[:octets] + bytes(16 - octets)
    return f"{socket.inet_ntop(socket.AF_INET6, packed)}/{bits}"


def check_client(text: object, where: str) -> str:
    """Return the client that a person's text means, in its usual form; raises BadInput.

    An IPv6 address means its /64.
    """
    try:
        network = network_of(text if isinstance(text, str) else "")
    except BadInput as error:
        raise BadInput(f"{where}: {text!r:.120} is not an address; {EXPECTED}") from error
    if network.prefixlen == network.max_prefixlen:
        return client_of(str(network.network_address))
    if network.version == 4 or network.prefixlen not in (NETWORK_BITS, SITE_BITS):
        raise BadInput(f"{where}: {text!r:.120} is a network that cannot be one entry; {EXPECTED}")
    return str(network)


def in_order(clients: Iterable[str]) -> list[str]:
    """Return clients by their addresses, those of IPv4 first."""
    return sorted(clients, key=_order)


def _order(client: str) -> tuple[int, int, int]:
    network = ipaddress.ip_network(client)
    return network.version, int(network.network_address), network.prefixlen
