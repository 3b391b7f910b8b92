# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: certificate_pairs
short_description: The site's certificates with their keys, as a list
version_added: "0.3.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Converts C(gateway_certificate), one or a list, to what M(mailgate.qmail.certificates) takes; what the
    check of the site refuses is left out.
options:
  _input:
    description: A certificate with its key, or a list of them.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Use the site's certificate
  mailgate.qmail.certificates:
    hostname: "{{ gateway_hostname }}"
    pairs: "{{ gateway_certificate | mailgate.qmail.certificate_pairs }}"
"""

RETURN = r"""
_value:
  description: Each certificate, with C(certificate) and C(key).
  type: list
  elements: dict
"""

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site.tls import pairs  # noqa: E402


class FilterModule:
    def filters(self):
        return {"certificate_pairs": pairs}
