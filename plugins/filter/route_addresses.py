# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress

DOCUMENTATION = r"""
name: route_addresses
short_description: The addresses among a site's routes
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Returns the addresses of the back ends in the routes of domains; names and empty routes are left out.
positional: _input
options:
  _input:
    description: Domains or routes, each with C(route) as C(host) or C(host:port).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
backends: "{{ [{'name': 'example.com', 'route': '10.0.0.5:2525'}] | mailgate.qmail.route_addresses }}"
# => ["10.0.0.5"]
"""

RETURN = r"""
_value:
  description: Each address once, in order.
  type: list
  elements: str
"""


def route_addresses(routes):
    found = {}
    for item in routes:
        host = (item.get("route") or "").split(":")[0]
        try:
            found[str(ipaddress.IPv4Address(host.strip("[]")))] = None
        except ValueError:
            continue  # a name, whose addresses are unknown here
    return list(found)


class FilterModule:
    def filters(self):
        return {"route_addresses": route_addresses}
