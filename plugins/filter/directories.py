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
  - Turns C(gateway_directory) into what the recipients' service reads, and anybody may. Password and
    certificate are left out, and the names of the files that hold them on the gateway put in their place.
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
  description: One entry a directory.
  type: list
  elements: dict
"""

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients.ldap_settings import public  # noqa: E402


class FilterModule:
    def filters(self):
        return {"directories": public}
