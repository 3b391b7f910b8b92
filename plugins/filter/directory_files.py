# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: directory_files
short_description: The files with the secrets of the site's directories
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Returns the password and the certificate of each of C(gateway_directory) as files for the gateway, under
    the names that P(mailgate.qmail.directories#filter) gives to the service.
options:
  _input:
    description: A directory, or a list of them.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Write the directories' passwords
  mailgate.qmail.files:
    files: "{{ gateway_directory | mailgate.qmail.directory_files }}"
  no_log: true
"""

RETURN = r"""
_value:
  description: One entry for each file, as in O(mailgate.qmail.files#module:files).
  type: list
  elements: dict
"""

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients.ldap_settings import (  # noqa: E402
    secret_files,
)


class FilterModule:
    def filters(self):
        return {"directory_files": secret_files}
