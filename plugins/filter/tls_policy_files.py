# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: tls_policy_files
short_description: The control files of policies for TLS
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Returns what M(mailgate.qmail.files) writes for the list of P(mailgate.qmail.tls_policies#filter).
  - That is C(tlspolicies), and for each C(ca) that is text a file below C(tlsca), named by its content.
positional: _input, directory
options:
  _input:
    description: The policies, each with C(domain), C(policy), and perhaps C(names) and C(ca).
    type: list
    elements: dict
    required: true
  directory:
    description: The directory of qmail's control files.
    type: str
    required: true
"""

EXAMPLES = r"""
files: "{{ [{'domain': '', 'policy': 'may'}] | mailgate.qmail.tls_policy_files('/var/qmail/control') }}"
# => [{"path": "/var/qmail/control/tlspolicies", "content": ":may\n"}]
"""

RETURN = r"""
_value:
  description: One entry for each file, with C(path) and C(content).
  type: list
  elements: dict
"""

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.outbound_tls import (  # noqa: E402
    TlsPolicy,
    policy_files,
)


def tls_policy_files(policies, directory):
    made = [
        TlsPolicy(one["domain"], one["policy"], tuple(one.get("names") or ()), one.get("ca") or "")
        for one in policies
    ]
    return policy_files(made, directory)


class FilterModule:
    def filters(self):
        return {"tls_policy_files": tls_policy_files}
