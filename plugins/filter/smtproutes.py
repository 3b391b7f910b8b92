# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: smtproutes
short_description: The routes of a site's domains
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Converts the domains of the site file to the routes that M(mailgate.qmail.smtproutes) takes.
  - A domain whose route is empty has a line, too, so that its mail goes to its MX, not by the
    default route.
positional: _input
options:
  _input:
    description: The domains, each with C(name) and C(route).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
routes: "{{ [{'name': 'example.com', 'route': '10.0.0.5'}] | mailgate.qmail.smtproutes }}"
# => [{"domain": "example.com", "route": "10.0.0.5"}]
"""

RETURN = r"""
_value:
  description: One entry for each route, with C(domain) and C(route).
  type: list
  elements: dict
"""


def smtproutes(domains):
    return [{"domain": domain["name"], "route": domain.get("route") or ""} for domain in domains]


class FilterModule:
    def filters(self):
        return {"smtproutes": smtproutes}
