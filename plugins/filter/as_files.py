# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: as_files
short_description: A mapping of names to values, as files of one directory
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - qmail reads each setting from a file of that name; this turns a mapping into the list that
    M(mailgate.qmail.files) takes, in the order of the names.
positional: directory
options:
  _input:
    description: Values by file name; a list is written with one line for each item, any other value as one
      line.
    type: dict
    required: true
  directory:
    description: The directory on the host.
    type: str
    required: true
"""

EXAMPLES = r"""
files: "{{ {'databytes': 1000000} | mailgate.qmail.as_files('/var/qmail/control') }}"
# => [{"path": "/var/qmail/control/databytes", "content": "1000000\n"}]
"""

RETURN = r"""
_value:
  description: One entry for each file, with C(path) and C(content).
  type: list
  elements: dict
"""


def lines(value):
    return "".join(f"{item}\n" for item in (value if isinstance(value, list) else [value]))


def as_files(values, directory):
    return [{"path": f"{directory}/{name}", "content": lines(values[name])} for name in sorted(values)]


class FilterModule:
    def filters(self):
        return {"as_files": as_files}
