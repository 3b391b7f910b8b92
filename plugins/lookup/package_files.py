# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: package_files
short_description: The Python package of this collection, as files for a host
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Returns path and content of every file of the package, including its subpackages, so that the
    services on the gateway run the same code as the modules and the filters.
options:
  _terms:
    description: The directory that the paths begin with, such as V(mailgate).
    required: true
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Install the Python package
  mailgate.qmail.versioned_tree:
    directory: /usr/local/lib/mailgate
    files: "{{ lookup('mailgate.qmail.package_files', 'mailgate') }}"
"""

RETURN = r"""
_list:
  description: One entry for each file, with C(path) and C(content).
  type: list
  elements: dict
"""

from pathlib import Path  # noqa: E402

from ansible.plugins.lookup import LookupBase  # noqa: E402

PACKAGE = Path(__file__).resolve().parent.parent / "module_utils" / "mailgate"


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        return [
            [
                {
                    "path": f"{directory}/{source.relative_to(PACKAGE).as_posix()}",
                    "content": source.read_text(encoding="utf-8"),
                }
                for source in sorted(PACKAGE.rglob("*.py"))
            ]
            for directory in terms
        ]
