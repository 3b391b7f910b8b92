# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: without_keys
short_description: The site's certificates without their keys
version_added: "0.3.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Describes C(gateway_certificate) for the check of the site, without any text of a private key.
options:
  _input:
    description: A certificate with its key, or a list of them.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Show which certificates the site has
  ansible.builtin.debug:
    msg: "{{ gateway_certificate | mailgate.qmail.without_keys }}"
"""

RETURN = r"""
_value:
  description: One entry for each certificate.
  type: list
  elements: dict
"""

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site.tls import without_keys  # noqa: E402


class FilterModule:
    def filters(self):
        return {"without_keys": without_keys}
