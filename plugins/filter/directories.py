# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: directories
short_description: The site's directories without their secrets
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Converts C(gateway_directory) to the public settings of the recipients' service. Password and
    certificate are replaced by the names of their files on the gateway.
options:
  _input:
    description: A directory, or a list of them.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Show where the recipients come from
  ansible.builtin.debug:
    msg: "{{ gateway_directory | mailgate.qmail.directories }}"
"""

RETURN = r"""
_value:
  description: One entry for each directory.
  type: list
  elements: dict
"""

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients.ldap_settings import public  # noqa: E402


class FilterModule:
    def filters(self):
        return {"directories": public}
