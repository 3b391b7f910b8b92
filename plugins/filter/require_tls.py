# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: require_tls
short_description: Whose mail is taken over TLS only, as lines of control/requiretls
version_added: "0.3.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Converts C(gateway_require_tls) to the lines that smtpfront and qmail-smtpd read. Domains in Unicode
    become A-labels.
options:
  _input:
    description: Lists of C(sender_domains), C(recipient_domains) and C(clients).
    type: dict
    required: true
"""

EXAMPLES = r"""
lines: "{{ {'sender_domains': ['bank.example'], 'clients': ['192.0.2.0/24']} | mailgate.qmail.require_tls }}"
# => ["sender bank.example", "client 192.0.2.0/24"]
"""

RETURN = r"""
_value:
  description: A line for each.
  type: list
  elements: str
"""

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site.tls import required_lines  # noqa: E402


class FilterModule:
    def filters(self):
        return {"require_tls": required_lines}
