# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: as_sources
short_description: Files of a role, as files for the top of a source tree
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Turns paths on the controller into the O(ignore:files) of M(mailgate.qmail.source_build), each under its
    own name.
positional: _input
options:
  _input:
    description: Paths on the controller.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
files: "{{ query('ansible.builtin.fileglob', role_path ~ '/files/src/*.c') | mailgate.qmail.as_sources }}"
# => [{"path": "validrcptto.c", "src": "…/files/src/validrcptto.c"}]
"""

RETURN = r"""
_value:
  description: One entry a file, with C(path) and C(src).
  type: list
  elements: dict
"""

import posixpath  # noqa: E402


def as_sources(paths):
    return [{"path": posixpath.basename(path), "src": path} for path in paths]


class FilterModule:
    def filters(self):
        return {"as_sources": as_sources}
