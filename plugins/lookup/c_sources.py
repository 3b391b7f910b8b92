# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: c_sources
short_description: The C files of this collection that programs are built from
version_added: "0.2.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Returns the files of the programs' folders below C(src), and those of C(src/common) whose headers they
    include, as O(ignore:files) of M(mailgate.qmail.source_build), each for the top of the source tree.
  - C(src) is found from this plugin's own place, so it is that of the collection that runs, wherever that is
    installed.
  - Takes only C files, headers and C(Makefile), never object files that a compiler left beside them.
options:
  _terms:
    description: Programs, each the name of a folder below C(src), such as V(netqmail).
    required: true
    type: list
    elements: str
notes:
  - Use C(query), which always returns a list.
"""

EXAMPLES = r"""
- name: Build and install cqgreylist
  mailgate.qmail.source_build:
    name: cqgreylist
    version: "0.1.0"
    archives: []
    files: "{{ query('mailgate.qmail.c_sources', 'cqgreylist') }}"
    build:
      - [make]
    install:
      - [make, install]
    artifacts:
      - /var/qmail/bin/cqgreylist
"""

RETURN = r"""
_list:
  description: One entry for each file, with C(path) and C(src), in the order of their names.
  type: list
  elements: dict
"""

from pathlib import Path  # noqa: E402

from ansible.errors import AnsibleLookupError  # noqa: E402
from ansible.plugins.lookup import LookupBase  # noqa: E402
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import c_files  # noqa: E402
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput  # noqa: E402

SOURCES = Path(__file__).resolve().parent.parent.parent / "src"


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        try:
            files = c_files.program_files(SOURCES, terms)
        except BadInput as error:
            raise AnsibleLookupError(f"c_sources: {error}") from error
        return [{"path": name, "src": str(path)} for name, path in files.items()]
