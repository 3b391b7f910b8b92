# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: peers
short_description: The gateways of a site, each with its name and address
version_added: "0.3.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Converts C(gateway_peers), whose items may be names alone, to the list that the role
    mailgate.qmail.fleet takes.
options:
  _input:
    description: The gateways of the site.
    type: list
    elements: raw
    required: true
"""

EXAMPLES = r"""
gateways: "{{ ['mx1.example.com', {'name': 'mx2.example.com', 'address': '192.0.2.2'}]
  | mailgate.qmail.peers }}"
"""

RETURN = r"""
_value:
  description: One entry for each gateway, with C(name) and C(address).
  type: list
  elements: dict
"""

from dataclasses import asdict  # noqa: E402

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput  # noqa: E402
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site.peers import parse  # noqa: E402


def peers(values):
    found, faults = parse(values)
    if faults:
        raise BadInput("\n".join(faults))
    return [asdict(one) for one in found]


class FilterModule:
    def filters(self):
        return {"peers": peers}
