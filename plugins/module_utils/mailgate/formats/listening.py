# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses to listen at, as the site file names them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from ..core.errors import BadInput

ADDRESSES_MAX = 8  # FRONT_LISTENING_MAX in front.h
EVERY_IPV4, EVERY_IPV6 = "0.0.0.0", "::"
_EXPECTED = "expected one such as '192.0.2.25', '2001:db8::25', '0.0.0.0' or '::'"


def parse_address(text: object, where: str) -> str:
    """Return an address to listen at in its usual form; raises BadInput that begins with where.

    A link-local address of IPv6 has its interface behind it, as in 'fe80::1%eth0'; no other has one.
    """
    if not isinstance(text, str):
        raise BadInput(f"{where}: {text!r} is not a string; {_EXPECTED}")
    bare, percent, interface = text.partition("%")
    try:
        one = ipaddress.ip_address(bare)
    except ValueError as error:
        raise BadInput(f"{where}: {text!r:.120} is not an address; {_EXPECTED}") from error
    if isinstance(one, ipaddress.IPv6Address) and one.ipv4_mapped is not None:
        expected = f"expected {str(one.ipv4_mapped)!r}"
        raise BadInput(f"{where}: {text!r:.120} is an IPv4 address that is written as IPv6; {expected}")
    if one.is_multicast:
        raise BadInput(f"{where}: {text!r:.120} is for many receivers; expected an address of the host")
    if one.version == 6 and one.is_link_local:
        if (
            not interface
            or not interface.isascii()
            or not interface.isprintable()
            or set(interface) & set("/ %")
        ):
            raise BadInput(
                f"{where}: {text!r:.120} is link-local; expected it with its interface, '{one}%eth0'"
            )
    elif percent:
        expected = f"expected {str(one)!r}; only a link-local address needs one"
        raise BadInput(f"{where}: {text!r:.120} has an interface behind it; {expected}")
    return f"{one}{percent}{interface}"


def addresses_faults(texts: object, where: str) -> list[str]:
    """Return the faults of a list of addresses to listen at, one text each; [] for a valid one."""
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Sequence) or not texts:
        return [f"{where}: {texts!r:.120} is not a list of addresses; expected one such as ['0.0.0.0', '::']"]
    found, known = [], dict[str, int]()
    for number, text in enumerate(texts, 1):
        try:
            one = parse_address(text, f"{where} item {number}")
        except BadInput as error:
            found.append(str(error))
            continue
        if one in known:
            found.append(f"{where} item {number}: {text!r} is item {known[one]}, too; expected it once")
        known.setdefault(one, number)
    for every, colon in ((EVERY_IPV4, False), (EVERY_IPV6, True)):
        others = [one for one in known if (":" in one) is colon and one != every]
        if every in known and others:
            found.append(
                f"{where} item {known[others[0]]}: {others[0]!r} is part of item {known[every]}, {every!r}; "
                "expected one of the two"
            )
    if len(texts) > ADDRESSES_MAX:
        found.append(f"{where}: {len(texts)} addresses are too many; expected at most {ADDRESSES_MAX}")
    return found


def missing(configured: Iterable[str], listening: Iterable[str]) -> list[str]:
    """Return the configured addresses, as parse_address() returns them, at which nobody listens."""
    there = set(listening)
    return [one for one in configured if one.partition("%")[0] not in there]
