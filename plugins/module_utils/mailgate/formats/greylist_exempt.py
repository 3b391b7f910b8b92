# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients that are not greylisted, as greyexempt.h reads them: networks, and domains of their names."""

from __future__ import annotations

import ipaddress

from ..core.errors import BadInput
from . import addresses, networks

_EXPECTED = "expected a network such as '192.0.2.0/24', or a domain such as 'mail.example.com'"


def exempt_fault(item: object, where: str) -> str:
    """Return why an item exempts nobody or everybody, as a text that begins with where; or ''."""
    if not isinstance(item, str) or not item:
        return f"{where}: {item!r} is neither a network nor a domain; {_EXPECTED}"
    if _is_network(item):
        try:
            network = networks.parse_network(item, where)
        except BadInput as error:
            return str(error)
        fault = networks.NOT_EVERYBODY.fault(network)
        return f"{where}: {item!r} {fault}" if fault else ""
    bare = item[2:] if item.startswith("*.") else item[1:] if item.startswith(".") else item.rstrip(".")
    if bare != item and not addresses.domain_fault(bare):
        return f"{where}: {item!r} is not in the usual form; expected {bare!r}, which every host below it has"
    fault = addresses.domain_fault(item)
    return f"{where}: {item!r} {fault}" if fault else ""


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return "/" in text or ":" in text
    return True
