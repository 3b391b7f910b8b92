# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: tls_policies
short_description: What a site demands of TLS on the way out
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Converts the policies of a site file to the list that the role mailgate.qmail.netqmail takes, the policy
    for all other domains last.
positional: _input, policies, backend_ca
options:
  _input:
    description: The site's domains; those with C(tls) have a policy.
    type: list
    elements: dict
    required: true
  policies:
    description: Policies by domain, C(.domain) for all below one, and an empty key for all other domains.
    type: dict
    default: {}
  backend_ca:
    description: The authorities of the domains' policies that name none; PEM text, or a path on the host.
    type: str
    default: ""
"""

EXAMPLES = r"""
policies: "{{ [{'name': 'example.com', 'tls': 'encrypt'}] | mailgate.qmail.tls_policies({'': 'may'}) }}"
"""

RETURN = r"""
_value:
  description: One entry for each policy, with C(domain), C(policy), C(names) and C(ca).
  type: list
  elements: dict
"""

from dataclasses import asdict  # noqa: E402

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput  # noqa: E402
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.outbound_tls import (  # noqa: E402
    site_policies,
)


def tls_policies(domains, policies=None, backend_ca=""):
    found, faults = site_policies(domains, policies or {}, backend_ca or "")
    if faults:
        raise BadInput("\n".join(faults))
    return [{**asdict(one), "names": list(one.names)} for one in found]


class FilterModule:
    def filters(self):
        return {"tls_policies": tls_policies}
