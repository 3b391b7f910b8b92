# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: version_name
short_description: The name of a tree of files as a version
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Returns the name of the directory that M(mailgate.qmail.versioned_tree) makes for these files.
positional: _input
options:
  _input:
    description: The files, each with C(path) and C(content).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
version: "{{ lookup('mailgate.qmail.package_files', 'mailgate') | mailgate.qmail.version_name }}"
# => 3f2a90c1d2e4b5a6
"""

RETURN = r"""
_value:
  description: 16 hexadecimal digits.
  type: str
"""

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import package_versions as versions  # noqa: E402


def version_name(files):
    return versions.version_name(
        versions.tree((item["path"], item["content"].encode("utf-8", "surrogateescape")) for item in files)
    )


class FilterModule:
    def filters(self):
        return {"version_name": version_name}
